"""Reading order and numbers, from digits whose places are known."""

import math
import tracemalloc

import numpy as np
import pytest

from digits.reading.lines import lines_of, numbers_of
from digits.reading.merge import Found


def digit(x, y, height=20.0, width=12.0, label=0, confidence=0.9):
    probabilities = np.full(10, 0.01, np.float32)
    probabilities[label] = 0.91
    return Found(x=x, y=y, width=width, height=height, confidence=confidence, probabilities=probabilities)


def page(rows, slope=0.0, pitch=45.0, step=22.0, jitter=0.0, seed=0):
    rng = np.random.default_rng(seed)
    found = []
    for row, text in enumerate(rows):
        for place, character in enumerate(text):
            x = 40 + place * step + rng.normal(0, jitter)
            y = 60 + row * pitch + slope * x + rng.normal(0, jitter)
            found.append(digit(x, y, label=int(character)))
    rng.shuffle(found)
    return found


def text_of(found):
    return ["".join(str(one.digit) for one in line) for line in lines_of(found)]


@pytest.mark.parametrize("degrees", [-20, -12, -5, 0, 5, 12, 20])
def test_slanted_lines_are_read_line_by_line(degrees):
    rows = ["12345678", "90817", "6643520"]
    assert text_of(page(rows, math.tan(math.radians(degrees)), jitter=1.2)) == rows


def test_columns_and_tables_are_read_row_by_row():
    assert text_of(page(["1", "2", "3", "4"])) == ["1", "2", "3", "4"]
    assert text_of(page(["123", "456", "789"], step=60, pitch=50)) == ["123", "456", "789"]


def test_mixed_sizes_stay_in_their_line():
    found = [digit(40 + 30 * n, 60, height=20 + 14 * (n % 2), label=n) for n in range(6)]
    assert text_of(found) == ["012345"]


def test_no_digit_gives_no_line_and_one_gives_one():
    assert lines_of([]) == []
    assert text_of([digit(5, 5, label=7)]) == ["7"]


def test_memory_grows_with_the_digits_and_not_with_their_square():
    found = page(["1234567890" * 5] * 60)
    tracemalloc.start()
    try:
        assert text_of(found) == ["1234567890" * 5] * 60
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5e6  # bytes; a single table of 3,000 with 3,000 takes 72 million


def test_digits_one_above_another_are_no_neighbours():
    assert text_of([digit(50, 40 + 12 * n, label=n) for n in range(3)]) == ["0", "1", "2"]
    assert text_of([digit(50, 40, label=4), digit(50 + 121, 40, label=2), digit(50, 90, label=1)]) == ["42", "1"]


def test_wide_gaps_divide_numbers_and_even_ones_do_not():
    line = [digit(x, 50) for x in (10, 26, 42, 100, 116, 190)]
    assert numbers_of(line) == [0, 0, 0, 1, 1, 2]
    assert numbers_of([digit(50 * n, 50) for n in range(5)]) == [0, 0, 0, 0, 0]
    assert numbers_of([digit(5, 5)]) == [0]
