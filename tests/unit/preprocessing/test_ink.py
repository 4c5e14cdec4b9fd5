"""How ink is told from paper: widths, noise, borders, light ink as the negative of dark ink."""

import numpy as np
import pytest

from digits.preprocessing import ink


@pytest.mark.parametrize(("shape", "expected"), [((1000, 1), (100, 1)), ((2, 900), (1, 100)), ((30, 40), (75, 100))])
def test_a_picture_is_scaled_to_its_longer_side_and_keeps_a_pixel_of_the_other(shape, expected):
    assert ink.resize_to(np.zeros((*shape, 3), np.uint8), 100).shape == (*expected, 3)


def test_percentiles_are_those_of_numpy():
    values = np.random.default_rng(0).normal(size=(7, 9)).astype(np.float32)
    for percent in (0, 1, 37.5, 50, 99, 100):
        assert ink.percentile(values, percent) == pytest.approx(np.percentile(values, percent), abs=1e-6)


@pytest.mark.parametrize("sigma", [4, 12])
def test_noise_is_the_standard_deviation_of_fine_grain_in_grey_levels(sigma):
    grain = np.random.default_rng(0).normal(128, sigma, (200, 200, 1))
    assert ink._noise(np.repeat(grain, 3, axis=2).clip(0, 255).astype(np.uint8)) == pytest.approx(sigma, rel=0.06)


@pytest.mark.parametrize(("width", "gone", "stays"), [(1, 2, 3), (3, 2, 3), (9, 8, 9)])
@pytest.mark.parametrize("beyond", [False, True])
def test_what_is_narrower_than_a_stroke_is_taken_away(width, gone, stays, beyond):
    view = np.full((60, 60, 3), 200, np.uint8)
    view[:, 10 : 10 + gone] = 50
    view[:, 40 : 40 + stays] = 50
    closed, opened = ink._without_strokes(view, width, beyond)
    assert closed[30, 10, 0] == 200 and closed[30, 40, 0] == 50
    negative_closed, negative_opened = ink._without_strokes(255 - view, width, beyond)
    assert np.array_equal(255 - negative_opened, closed) and np.array_equal(255 - negative_closed, opened)


def test_a_border_is_one_sheet_where_four_in_five_of_its_pixels_have_its_colour():
    paper, view = np.array([200, 200, 200], np.uint8), np.full((100, 100, 3), 200, np.uint8)
    view[40:60, 40:60] = 100  # ink: the contrast is 100
    for part, expected in ((15, True), (25, False)):
        other = view.copy()
        other[:, :4][: part * 16 // 4] = 150  # so much of the border, which is four pixels wide
        assert ink._is_uniform_border(other, paper) is expected, part
    view[:] = 200
    assert not ink._is_uniform_border(view, paper)  # without contrast nothing is


@pytest.mark.parametrize("turned", [False, True])
def test_contrast_is_seen_in_every_other_row_and_column(turned):
    """Ink that every third one would miss."""
    view = np.full((100, 100, 3), 200, np.uint8)
    view[[row for row in range(10, 90) if row % 3], 10:90] = 100
    view[50, :4] = 195  # hardly anything of the border
    view = view.transpose(1, 0, 2) if turned else view
    assert ink._is_uniform_border(np.ascontiguousarray(view), np.array([200, 200, 200], np.uint8))


@pytest.mark.parametrize("direction", [(0.6, 0.6, 0.53), (0.9, -0.2, -0.39), (0.58, 0.58, -0.58), (-0.9, 0.2, 0.3)])
def test_light_ink_is_as_strong_as_dark_ink_in_the_negative(direction):
    direction = np.array(direction, np.float32)
    paper = np.random.default_rng(0).integers(120, 135, (80, 80, 3)).astype(np.float32)
    paper[20:60, 38:42] += 90 * direction
    view = paper.astype(np.uint8)
    one = ink.ink_strength(view, direction, 4.0)
    other = ink.ink_strength(255 - view, -direction, 4.0)
    np.testing.assert_allclose(one, other, atol=1e-3)
    assert one[30:50, 38:42].mean() > 3 * np.abs(one[30:50, 5:30]).mean()
