"""Candidates of several scales become digits."""

import itertools
import time
from dataclasses import replace

import numpy as np
import pytest

from digits.reading import merge
from digits.reading.detect import Candidates, scales_of
from digits.reading.merge import MOST_FOUND, Found, Thresholds, likely, merged, weighted_median


def candidates(rows):
    """From (x, y, width, height, peak, digit, scale)."""
    table = np.array(rows, np.float32).reshape(-1, 7)
    digits = np.full((len(table), 10), 0.01, np.float32)
    digits[np.arange(len(table)), table[:, 5].astype(int)] = 0.91
    return Candidates(
        boxes=table[:, :4],
        peaks=table[:, 4],
        fits=np.ones(len(table), np.float32),
        digits=digits,
        turns=np.zeros(len(table), np.int64),
        scales=table[:, 6],
    )


def test_one_digit_seen_at_two_scales_is_one_and_surer_than_at_one():
    both = merged(candidates([(50, 50, 20, 30, 0.9, 3, 1.0), (51, 49, 21, 30, 0.8, 3, 0.5)]), (400, 400))
    alone = merged(candidates([(50, 50, 20, 30, 0.9, 3, 1.0)]), (400, 400))
    assert len(both) == len(alone) == 1
    assert both[0].digit == 3 and both[0].confidence > 1.3 * alone[0].confidence


def test_neighbours_stay_apart_and_parts_are_swallowed():
    found = merged(
        candidates([(50, 50, 12, 30, 0.9, 1, 1.0), (62, 50, 12, 30, 0.8, 1, 1.0), (50, 45, 8, 12, 0.5, 0, 1.0)]),
        (400, 400),
    )
    assert [one.digit for one in found] == [1, 1]


def test_scales_vote_about_the_digit():
    rows = [(50, 50, 20, 30, 0.5, 1, 1.0), (50, 50, 20, 30, 0.45, 7, 0.5), (50, 50, 20, 30, 0.45, 7, 0.25)]
    (one,) = merged(candidates(rows), (400, 400))
    assert one.digit == 7
    assert one.probabilities.sum() == pytest.approx(1, abs=1e-5)


def test_no_candidate_gives_no_digit():
    assert merged(Candidates.together([]), (100, 100)) == []
    assert likely([], Thresholds()) == []


def of_all_with_all(table):
    """Places and peaks of the digits that are left of (x, y, width, height, peak, digit, scale), one by one."""
    rows, left = sorted(table, key=lambda row: -row[4]), []
    while rows:
        best, others = rows[0], []
        for row in rows[1:]:
            shared = np.prod(
                [
                    max(
                        0,
                        min(best[k] + best[k + 2] / 2, row[k] + row[k + 2] / 2)
                        - max(best[k] - best[k + 2] / 2, row[k] - row[k + 2] / 2),
                    )
                    for k in (0, 1)
                ]
            )
            areas = best[2] * best[3], row[2] * row[3]
            if shared / (sum(areas) - shared) <= 0.3 and shared / min(areas) <= 0.55:
                others.append(row)
        left.append(best[:2])
        rows = others
    return left


@pytest.mark.parametrize("seed", range(4))
def test_only_what_is_near_is_compared_and_the_answer_is_that_of_all_with_all(seed):
    rng = np.random.default_rng(seed)
    table = [
        (*rng.uniform(0, 400, 2).round(), *(rng.uniform(10, 62, 2) / scale).round(), peak, number % 10, scale)
        for number, (peak, scale) in enumerate(
            zip(rng.permutation(300) / 301 + 0.001, [1.0, 0.5, 0.25] * 100, strict=True)
        )
    ]
    found = merged(candidates(table), (400, 400))
    assert [(one.x, one.y) for one in found] == of_all_with_all(table)


def test_no_more_than_the_best_digits_are_looked_for(monkeypatch):
    rows = [(50 + 40 * n, 50, 20, 30, 0.5 + 0.01 * n, 3, 1.0) for n in range(5)]
    for most in (4, 5, 6):
        monkeypatch.setattr(merge, "MOST_FOUND", most)
        found = merged(candidates([*rows, *rows]), (400, 400))
        assert [one.x for one in found] == [210, 170, 130, 90, 50][:most]


def test_a_page_full_of_candidates_takes_little_time():
    """Time of the process: 20,000 took half a minute where each was compared with all."""
    rows = [(14 * (n % 200), 14 * (n // 200), 12, 12, 0.9, 3, 1.0) for n in range(20_000)]
    started = time.process_time()
    assert len(merged(candidates(rows), (1400, 2800))) == MOST_FOUND
    assert time.process_time() - started < 5


def test_a_picture_whose_digits_are_unsure_shows_none_and_the_weakest_are_left_out():
    rows = [(50 + 40 * n, 50, 20, 30, peak, 3, 1.0) for n, peak in enumerate((0.95, 0.95, 0.95, 0.3))]
    thresholds = Thresholds(digit=0.1, relative=0.6, page=0.3)
    found = merged(candidates(rows), (400, 400))
    assert len(likely(found, thresholds)) == 3
    assert likely(found, Thresholds(digit=0.1, relative=0.6, page=0.99)) == []


@pytest.mark.parametrize("shape", [(1, 1), (28, 28), (3, 4000), (119, 80), (480, 640), (3000, 4000)])
def test_scales_halve_from_a_size_that_is_affordable(shape):
    scales = scales_of(shape)
    assert scales[0] * max(shape) <= 1000
    assert all(a == 2 * b for a, b in itertools.pairwise(scales))


def test_what_is_of_quite_another_size_than_the_page_is_left_out():
    rows = [(50 + 40 * n, 50, 20, 30, 0.9, 3, 1.0) for n in range(4)] + [(50, 300, 60, 100, 0.7, 0, 0.25)]
    found = merged(candidates(rows), (400, 400))
    thresholds = Thresholds(digit=0.1, relative=0.1, page=0.2)
    assert len(likely(found, replace(thresholds, alike=2.0))) == 4
    assert len(likely(found, replace(thresholds, alike=5.0))) == 5


@pytest.mark.parametrize(("peak", "height", "kept"), [(0.59, 60, 4), (0.61, 60, 5), (0.61, 77, 5), (0.61, 79, 4)])
def test_a_sure_digit_may_differ_more_in_size_than_an_unsure_one(peak, height, kept):
    rows = [(50 + 40 * n, 50, 20, 30, 0.9, 3, 1.0) for n in range(4)] + [(50, 300, 20, height, peak, 0, 1.0)]
    found = merged(candidates(rows), (400, 400))
    odd = min(found, key=lambda one: one.confidence)
    found = [replace(one, confidence=peak) if one is odd else one for one in found]
    assert len(likely(found, Thresholds(digit=0.1, relative=0.1, page=0.2, alike=1.7))) == kept


def test_the_weighted_median_halves_the_weight():
    assert weighted_median(np.array([3.0, 1.0, 2.0]), np.array([1.0, 1.0, 1.0])) == 2
    assert weighted_median(np.array([3.0, 1.0, 2.0]), np.array([9.0, 1.0, 1.0])) == 3
    assert weighted_median(np.array([5.0]), np.array([0.1])) == 5


def found(confidence, x, strength):
    """A digit of the usual size."""
    probabilities = np.full(10, 0.01, np.float32)
    return Found(x=x, y=50, width=20, height=30, confidence=confidence, probabilities=probabilities, strength=strength)


def test_what_is_far_fainter_than_the_rest_shows_through_and_is_left_out():
    strong = [found(confidence=0.9, x=30.0 * place, strength=0.6) for place in range(5)]
    pencil, behind = found(confidence=0.9, x=200.0, strength=0.3), found(confidence=0.9, x=230.0, strength=0.15)
    everything = [*strong, pencil, behind]
    assert likely(everything, Thresholds(faint=0.35)) == [*strong, pencil]
    assert likely(everything, Thresholds()) == everything
    assert likely([behind], Thresholds(faint=0.35)) == [behind], "a faint pencil alone on its page"
