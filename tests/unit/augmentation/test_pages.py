"""Simulated pages for training: what is labelled is there, and everything comes from the seed."""

import numpy as np
import pytest

from digits.augmentation import page_digits, pages
from digits.augmentation.page_digits import drawn_digit, lay, make_shapes, thinned
from digits.augmentation.page_layouts import LARGEST, SIDE, SMALLEST
from digits.augmentation.pages import simulated_square


@pytest.fixture(scope="module")
def shapes(read_mnist):
    images, labels = read_mnist("train-00-of-12")
    return make_shapes(images[:200], labels[:200], np.random.default_rng(0))


@pytest.fixture(scope="module")
def squares(shapes):
    return [simulated_square(shapes, np.random.default_rng((1, number))) for number in range(150)]


def test_equal_generators_give_equal_squares(shapes, squares):
    for number in (0, 7, 31):
        again = simulated_square(shapes, np.random.default_rng((1, number)))
        assert np.array_equal(again.picture, squares[number].picture)
        assert again.digits == squares[number].digits
    assert not np.array_equal(squares[0].picture, squares[1].picture)


def test_digits_lie_in_the_frame_and_have_a_size_that_is_read(squares):
    assert sum(len(square.digits) for square in squares) > 500
    for square in squares:
        left, top, right, bottom = square.frame
        assert square.picture.shape == (SIDE, SIDE)
        for x0, y0, x1, y1, label in square.digits:
            assert 0 <= label <= 9
            assert SMALLEST <= max(x1 - x0, y1 - y0) <= LARGEST
            seen = (min(x1, right) - max(x0, left)) * (min(y1, bottom) - max(y0, top))
            assert seen > 0.7 * (x1 - x0) * (y1 - y0)


def test_where_a_digit_is_labelled_something_stands_out(squares):
    plain = [square for square in squares if square.digits and square.frame == (0, 0, SIDE, SIDE)]
    spreads, elsewhere = [], []
    for square in plain:
        for x0, y0, x1, y1, _ in square.digits[:3]:
            box = square.picture[max(0, int(y0)) : int(y1) + 1, max(0, int(x0)) : int(x1) + 1]
            spreads.append(float(box.std()))
        corner = square.picture[:12, :12]
        elsewhere.append(float(corner.std()))
    assert np.median(spreads) > 2 * np.median(elsewhere)


def test_there_are_both_polarities_all_turns_and_squares_of_none(squares):
    assert {square.turn for square in squares} == {0, 1, 2, 3}
    assert sum(not square.digits for square in squares) > 20
    dark = sum(np.median(square.picture) < 60 for square in squares)
    assert 15 < dark < 110


def test_a_turned_square_is_the_upright_one_turned(shapes, monkeypatch):
    upright = next(
        square
        for square in (simulated_square(shapes, np.random.default_rng((2, n))) for n in range(50))
        if len(square.digits) > 3 and square.turn == 0 and square.frame == (0, 0, SIDE, SIDE)
    )

    class Chosen:
        def __init__(self, turn):
            self.turn = turn

        def choice(self, *args, **kwargs):
            return self.turn

    for turn in (1, 2, 3):
        turned = pages._turned(upright, Chosen(turn))
        assert turned.turn == turn
        for before, after in zip(upright.digits, turned.digits, strict=True):
            x0, y0, x1, y1 = (round(value) for value in before[:4])
            a0, b0, a1, b1 = (round(value) for value in after[:4])
            part = np.rot90(upright.picture[max(0, y0) : y1, max(0, x0) : x1], turn)
            assert np.array_equal(part, turned.picture[max(0, b0) : b1, max(0, a0) : a1])


def test_a_digit_is_drawn_as_high_as_asked_and_a_broader_pen_leaves_more_ink(shapes):
    rng = np.random.default_rng(0)
    for row in range(20):
        fine, box = drawn_digit(shapes, row, 40.0, 0.06, 0.0, rng)
        broad, _ = drawn_digit(shapes, row, 40.0, 0.2, 0.0, rng)
        width, height = shapes.sizes[row]
        if height > 0.45 * width:
            assert box[3] - box[1] == pytest.approx(40, abs=6)
        assert broad.sum() > 1.6 * fine.sum()
        assert fine.min() >= 0 and fine.max() <= 1


def test_thinning_leaves_lines_one_pixel_wide():
    ink = np.zeros((40, 40), np.uint8)
    ink[10:18, 5:35] = 1
    ink[10:35, 20:26] = 1
    line = thinned(ink)
    assert line.any() and not np.any(line & ~ink)
    assert not np.any(line[:-1, :-1] & line[1:, :-1] & line[:-1, 1:] & line[1:, 1:])


def test_ink_that_hangs_over_is_cut_off():
    target = np.zeros((10, 10), np.float32)
    lay(target, np.ones((6, 6), np.float32), 7, -3)
    lay(target, np.full((6, 6), 0.5, np.float32), 30, 30)
    assert target.sum() == 9 and target[:3, 7:].all()


def test_digits_without_ink_are_left_out():
    digits = np.zeros((3, 28, 28), np.uint8)
    digits[1, 5:23, 12:16] = 255
    rng = np.random.default_rng(5)
    kept = [len(make_shapes(digits, np.array([0, 1, 0]), rng).labels) for _ in range(5)]
    assert all(1 <= count <= 3 for count in kept) and min(kept) < 3
    assert page_digits.joined([make_shapes(digits[1:2], np.array([1]), rng)] * 2).labels.tolist() == [1, 1]
