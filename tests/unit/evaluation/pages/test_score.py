"""Counting errors on pages."""

import numpy as np
import pytest

from digits.evaluation.pages.score import PageScore, edit_distance, score_simulated
from digits.evaluation.pages.simulated import CONDITIONS
from digits.evaluation.pages.without_digits import WITHOUT_DIGITS


@pytest.mark.parametrize(
    ("read", "truth", "distance"),
    [
        ("", "", 0),
        ("123", "", 3),
        ("", "123", 3),
        ("123", "123", 0),
        ("13", "123", 1),
        ("321", "123", 2),
        ("1234", "124", 1),
    ],
)
def test_edit_distance(read, truth, distance):
    assert edit_distance(read, truth) == distance


def test_counts_and_rates():
    score = PageScore.of([["12", "34"], [], ["1234"], ["77"]], [["12", "34"], ["5"], ["12", "34"], ["71"]])
    assert (score.images, score.exact, score.lines_exact, score.digits, score.edit_distance) == (4, 2, 1, 11, 2)
    assert score.to_dict() == {
        "images": 4,
        "exact": 0.5,
        "lines_exact": 0.25,
        "digits": 11,
        "edit_distance": 2,
        "character_error_rate": 2 / 11,
    }


def test_a_reader_that_reads_nothing_and_one_that_always_answers():
    rng = np.random.default_rng(0)
    digits, labels = np.zeros((20, 28, 28), np.uint8), np.arange(20) % 10
    digits[:, 4:24, 10 + rng.integers(0, 5) :][:, :, :4] = 255
    nothing = score_simulated(lambda picture: [], digits, labels, pages=1, seed=0)
    assert nothing.character_error_rate == 1 and nothing.exact == 0 and nothing.answered_fraction == 0
    assert set(nothing.by_condition) == set(CONDITIONS) and set(nothing.answered) == set(WITHOUT_DIGITS)
    always = score_simulated(lambda picture: ["1"], digits, labels, pages=1, seed=0)
    assert always.answered_fraction == 1 and always.character_error_rate > 0.8
