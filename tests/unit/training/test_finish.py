"""The halves of the validation digits that a calibration error is judged on."""

import numpy as np
import pytest

from digits.training.finish import halves_of


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
