"""What training shows as no digit: drawn as large as digits are, and nothing that people would take for one."""

import cv2
import numpy as np
import pytest

from digits.augmentation import distort as distortion
from digits.augmentation.distort import distort
from digits.augmentation.outliers import KINDS, SIDE, is_bar, outliers
from digits.augmentation.page_letters import ALONE, PRINTED_SIGNS
from digits.config import MNIST_BOX, OUTLIER


def line(angle, breadth=8):
    """A straight line, `angle` degrees from upright."""
    canvas = np.zeros((SIDE, SIDE), np.float32)
    x, y = 55 * np.sin(np.radians(angle)), 55 * np.cos(np.radians(angle))
    start, end = (round(80 - x), round(80 - y)), (round(80 + x), round(80 + y))
    cv2.line(canvas, start, end, 1.0, breadth, cv2.LINE_AA)
    return canvas


def test_they_are_pictures_as_large_as_mnists_digits_and_come_from_the_seed():
    drawn = outliers(60, np.random.default_rng(0))
    assert drawn.dtype == np.uint8 and drawn.shape == (60, 28, 28)
    assert np.array_equal(drawn, outliers(60, np.random.default_rng(0)))
    assert len({image.tobytes() for image in drawn}) > 55
    sides = [max(cv2.boundingRect((image > 60).astype(np.uint8))[2:]) for image in drawn]
    assert np.median(sides) == pytest.approx(MNIST_BOX, abs=1)
    assert sum(KINDS.values()) == pytest.approx(1)


@pytest.mark.parametrize(("angle", "bar"), [(0, True), (15, True), (-40, True), (70, False), (90, False)])
def test_a_line_is_a_one_unless_it_lies(angle, bar):
    assert is_bar(line(angle)) == bar


def test_a_thick_line_is_a_one_too_but_nothing_broader_is():
    assert is_bar(line(0, breadth=36)) and not is_bar(line(0, breadth=100))
    assert is_bar(np.zeros((SIDE, SIDE), np.float32)), "nothing at all is drawn anew"


def test_no_line_is_among_them():
    drawn = outliers(300, np.random.default_rng(1))
    enlarged = [cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR) / np.float32(255) for image in drawn]
    # Without looking it would be 66; what is left is as broad as the bound, and seems narrower drawn coarser.
    assert sum(is_bar(image) for image in enlarged) <= 12


def test_no_letter_that_is_a_digit_in_shape_is_among_them():
    assert not set("OoIlSsZzqgbBDQ") & {*PRINTED_SIGNS, *(letter for letter in ALONE if len(letter) == 1)}


def test_what_is_no_digit_gets_no_other_style(monkeypatch):
    monkeypatch.setattr(distortion, "RESTYLED", (1.0,) * 10)
    monkeypatch.setattr(distortion, "_write", lambda images, rng, strength: images)
    monkeypatch.setattr(distortion, "_expose", lambda images, rng, strength: images)
    labels = np.array([3, OUTLIER] * 10)
    seen = distort(np.zeros((20, 28, 28), np.uint8), labels, np.random.default_rng(0))
    assert seen[::2].any((1, 2)).all() and not seen[1::2].any()
