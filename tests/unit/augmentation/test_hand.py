"""The pen draws what it is told: smooth paths, broad nibs, tails, and digits fitted as MNIST fits them."""

import numpy as np
import pytest

from digits.augmentation.hand import NIBS, Hand, add_tail, draw, place, slanted, smooth


def ink_width(image: np.ndarray) -> int:
    """Columns with ink in the middle row, in pixels."""
    return int((image[14] > 127).sum())


UPRIGHT = [np.array([(0.5, 0.0), (0.5, 1.0)])]
LEVEL = [np.array([(0.0, 0.5), (1.0, 0.5)])]


def test_an_empty_canvas_stays_empty():
    assert not place(np.zeros((50, 50), np.uint8)).any()


def test_placing_scales_to_the_side_and_moves_to_the_point():
    canvas = np.zeros((60, 60), np.uint8)
    canvas[5:45, 10:30] = 255
    placed = place(canvas, side=10, x=8, y=20)
    rows, columns = np.nonzero(placed > 127)
    assert (rows.mean(), columns.mean()) == pytest.approx((20, 8), abs=0.5)
    assert np.ptp(rows) + 1 == pytest.approx(10, abs=1) and np.ptp(columns) + 1 == pytest.approx(5, abs=1)


def test_a_smooth_path_passes_through_its_points():
    points = np.array([(0.0, 0.0), (0.3, 0.8), (0.7, 0.1), (1.0, 1.0)])
    path = smooth(points)
    assert path.shape == (19, 2)
    np.testing.assert_allclose(path[::6], points, atol=1e-12)


def test_a_smooth_path_through_points_on_a_line_is_that_line():
    path = smooth(np.linspace([0, 0], [3, 6], 4))
    np.testing.assert_allclose(path[:, 1], 2 * path[:, 0], atol=1e-12)


def test_a_slanted_stroke_leans_to_the_right_and_keeps_its_height():
    (top_x, top_y), (foot_x, foot_y) = slanted(UPRIGHT[0], 0.3)
    assert (top_y, foot_y) == (0, 1) and foot_x - top_x == pytest.approx(-0.3)


def test_a_thicker_pen_draws_a_wider_line():
    widths = [ink_width(draw(UPRIGHT, pen)) for pen in (2.0, 5.0, 8.0)]
    assert widths == sorted(widths) and widths[0] < widths[-1]


def test_a_broad_nib_is_wide_across_and_fine_along():
    level_nib = NIBS[3]
    assert level_nib.shape == (1, 5)
    level_line = draw(LEVEL, 2.0, level_nib)
    assert ink_width(draw(UPRIGHT, 2.0, level_nib)) > (level_line[:, 14] > 127).sum()


def test_a_tail_lengthens_one_stroke_and_keeps_its_points():
    for seed in range(20):
        strokes = [stroke.copy() for stroke in (*UPRIGHT, *LEVEL)]
        add_tail(Hand(seed), strokes)
        lengths = sorted(len(stroke) for stroke in strokes)
        assert lengths[0] == 2 and lengths[1] > 2
        longer = max(strokes, key=len)
        original = (UPRIGHT[0] if len(strokes[0]) > 2 else LEVEL[0]).tolist()
        assert all(point in longer.tolist() for point in original)


def test_a_loop_turns_once_around_its_centre():
    path = Hand(1).loop(0.5, 0.5, 0.6, 1.0, -90, 360)
    assert np.abs(path.mean(0) - 0.5).max() < 0.1
    assert np.linalg.norm(path[0] - path[-1]) < 0.15
    np.testing.assert_allclose(np.ptp(path, axis=0), (0.6, 1.0), atol=0.2)


def test_equal_seeds_are_equal_hands():
    np.testing.assert_array_equal(Hand(4).curve((0, 0), (1, 1)), Hand(4).curve((0, 0), (1, 1)))
    assert not np.array_equal(Hand(4).curve((0, 0), (1, 1)), Hand(5).curve((0, 0), (1, 1)))
