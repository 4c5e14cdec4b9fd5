"""Kinds of handwriting and of pages that are easily misread: each is drawn here, and most of it is read."""

from dataclasses import replace

import numpy as np
import pytest

from digits.errors import NotADigit
from digits.evaluation.pages import sheets
from digits.evaluation.pages.score import edit_distance
from digits.evaluation.pages.simulated import PLAIN, simulated_page
from digits.evaluation.simulated_photos import random_conditions, simulate_photo
from digits.reading.networks import shipped
from tests.unit.reading.kinds import KINDS, photo_of

PHOTOS = 24
"""Photos of each kind."""
PAGES = 6
"""Pages of each kind, of 18 digits each."""


def judged(photos):
    """How many of some photos with their labels are read rightly, and how many wrongly; the others are refused."""
    answers = []
    for photo, label in photos:
        try:
            answers.append(shipped().read(photo).text == str(label))
        except NotADigit:
            continue
    return sum(answers), len(answers) - sum(answers)


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_of_digit_that_is_easily_misread(kind):
    right, wrong = judged(photo_of(kind, seed) for seed in range(PHOTOS))
    print(f"{kind}: {right} right, {wrong} wrong of {PHOTOS}")
    assert right >= (3 if kind == "4 like a phi" else 0.7 * PHOTOS) and wrong <= 2


def test_a_digit_half_of_which_is_faint(digits):
    """Two photos of the same writing, one of them faint, blended across the digit."""

    def photo(seed):
        rng = np.random.default_rng((seed, 78))
        conditions = replace(random_conditions(rng), surroundings="paper", contrast=0.85)
        row, twin = int(rng.integers(len(digits[1]))), int(rng.integers(2**30))
        plain, faint = (
            simulate_photo(digits[0][row], np.random.default_rng(twin), replace(conditions, contrast=contrast))
            for contrast in (0.85, 0.3)
        )
        height, width = plain.shape[:2]
        angle = rng.uniform(0, 2 * np.pi)
        down, across = np.mgrid[0:height, 0:width]
        away = (across / width - 0.5) * np.cos(angle) + (down / height - 0.5) * np.sin(angle)
        share = 1 / (1 + np.exp(-40 * away))[..., None]
        return (plain * share + faint * (1 - share)).astype(np.uint8), int(digits[1][row])

    right, wrong = judged(photo(seed) for seed in range(PHOTOS))
    print(f"half faint: {right} right, {wrong} wrong of {PHOTOS}")
    assert right >= 0.6 * PHOTOS and wrong <= 4


def errors_on(pages):
    """Wrong digits, and all digits, of simulated pages."""
    wrong = total = 0
    for page in pages:
        try:
            text = "".join(str(one.digit) for one in shipped().read(page.picture).digits)
        except NotADigit:
            text = ""
        wrong, total = wrong + edit_distance(text, page.digits), total + len(page.digits)
    print(f"{wrong} of {total} wrong")
    return wrong, total


def simulated(digits, conditions, count=PAGES):
    return [simulated_page(*digits, np.random.default_rng((79, seed)), conditions) for seed in range(count)]


def test_digits_whose_strokes_are_broken(digits, monkeypatch):
    """A gap across the stroke of each digit, a twentieth of its height wide."""
    draw = sheets.draw_ink

    def broken(*args):
        ink = draw(*args)
        rows, columns = np.nonzero(ink > 0.5)
        if len(rows) == 0:
            return ink
        rng, size = args[-1], max(np.ptp(rows), np.ptp(columns))
        place, angle = int(rng.integers(len(rows))), rng.uniform(0, np.pi)
        down, across = (
            np.mgrid[0 : ink.shape[0], 0 : ink.shape[1]] - np.array([rows[place], columns[place]])[:, None, None]
        )
        side = across * np.cos(angle) + down * np.sin(angle)
        along = down * np.cos(angle) - across * np.sin(angle)
        gap = (np.abs(side) < 0.025 * size) & (np.abs(along) < 0.2 * size)
        return np.where(gap, 0, ink).astype(np.float32)

    monkeypatch.setattr(sheets, "draw_ink", broken)
    wrong, total = errors_on(simulated(digits, PLAIN))
    assert wrong <= 0.08 * total


def test_digits_that_overlap(digits):
    wrong, total = errors_on(simulated(digits, replace(PLAIN, gap=(-0.15, 0.05))))
    assert wrong <= 0.15 * total


def test_digits_of_a_hundredth_of_a_photo_of_12_megapixels(digits):
    conditions = replace(PLAIN, frame=(3000, 4000), height=40 / 3000, lines=(10,) * 4, gap=(0.5, 1.2))
    wrong, total = errors_on(simulated(digits, conditions, count=2))
    assert wrong <= 0.05 * total
