"""The halves of the validation digits that a calibration error is judged on."""

import numpy as np
import pytest

from digits.evaluation.metrics import LabelledPredictions
from digits.training.finish import FinishedNetwork, accuracy_by_source, halves_of


@pytest.mark.parametrize("copies", [False, True])
def test_halves_are_random_by_the_seed_of_the_split_and_keep_a_digit_with_its_copy(copies):
    def halves(seed, num_images=2_000):
        return halves_of(num_images, {"data": {"inverted_copies": copies, "split_seed": seed}})

    first = halves(0)
    assert first.shape == (2_000,) and first.sum() == 1_000
    assert np.array_equal(first, halves(0)) and not np.array_equal(first, halves(1))
    digits = first[:: 2 if copies else 1]
    if copies:
        assert np.array_equal(digits, first[1::2])
    # Not the first half of the digits, and not every second one.
    assert 0.4 < digits[: len(digits) // 2].mean() < 0.6
    assert 0.4 < digits[::2].mean() < 0.6
    assert halves(0, 6).sum() == 2 if copies else 3


@pytest.mark.parametrize("copies", [1, 2])
def test_accuracy_of_each_source_is_that_of_its_digits(copies):
    right = np.repeat([1, 1, 0, 1, 0, 0, 0], copies)
    predictions = LabelledPredictions(
        probabilities=np.eye(10, dtype=np.float32)[right], labels=np.ones(len(right), int)
    )
    assert accuracy_by_source(predictions, {"mine": 4, "nothing": 0, "mnist": 3}) == {
        "mine": {"accuracy": 0.75, "images": 4 * copies},
        "nothing": {"accuracy": None, "images": 0},
        "mnist": {"accuracy": 0.0, "images": 3 * copies},
    }


def test_without_copies_each_digit_is_drawn_by_itself():
    first = halves_of(100, {"data": {"inverted_copies": False, "split_seed": 0}})
    assert first.sum() == 50 and (first[::2] != first[1::2]).any()


def test_what_was_finished_is_made_by_name_and_stays_as_it_is():
    assert FinishedNetwork.__dataclass_params__.frozen
    with pytest.raises(TypeError, match="takes 1 positional argument"):
        FinishedNetwork("baseline")
