"""The examination's pages: the truth about them is true, under every condition."""

import numpy as np
import pytest

from digits.evaluation.pages.simulated import CONDITIONS, simulated_page
from digits.evaluation.pages.without_digits import WITHOUT_DIGITS, page_without_digits


@pytest.fixture(scope="module")
def digits(read_mnist):
    images, labels = read_mnist("train-11-of-12")
    return images[:300], labels[:300]


@pytest.mark.parametrize("name", CONDITIONS)
def test_boxes_and_lines_of_every_condition(name, digits):
    conditions = CONDITIONS[name]
    page = simulated_page(*digits, np.random.default_rng(4), conditions)
    again = simulated_page(*digits, np.random.default_rng(4), conditions)
    assert np.array_equal(page.picture, again.picture) and page.lines == again.lines
    rows, columns = conditions.frame[:: 1 if conditions.turn % 2 == 0 else -1]
    assert page.picture.shape == (rows, columns, 3) and page.picture.dtype == np.uint8
    assert page.lines and len(page.boxes) == len(page.digits)
    assert page.rotation == 90 * conditions.turn
    for left, top, width, height in page.boxes:
        assert left >= 0 and left + width <= columns and top >= 0 and top + height <= rows
        part = page.picture[top : top + height, left : left + width].astype(float)
        assert part.max() - part.min() > 15


def test_a_turned_page_is_read_after_turning_it_back(digits):
    page = simulated_page(*digits, np.random.default_rng(1), CONDITIONS["turned"])
    middle = [(left + width / 2, top + height / 2) for left, top, width, height in page.boxes]
    first, last = middle[0], middle[len(page.lines[0]) - 1]
    assert first[1] > last[1]  # turned counter-clockwise: the first line runs upwards
    assert middle[-1][0] > first[0]  # and later lines stand to the right


@pytest.mark.parametrize("kind", WITHOUT_DIGITS)
def test_pages_without_digits_come_from_the_seed(kind):
    one, again, other = (page_without_digits(kind, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert np.array_equal(one, again) and one.dtype == np.uint8 and one.ndim == 3
    assert one.shape != other.shape or not np.array_equal(one, other)
