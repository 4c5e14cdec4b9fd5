"""A simulated photo shows what its conditions say, and depends on nothing but the digit, them and the seed."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from digits.errors import ConfigurationError
from digits.evaluation.simulated_ink import thinned, trace_stroke
from digits.evaluation.simulated_photos import PhotoConditions, photo_set, random_conditions, simulate_photo

STUDIO = PhotoConditions(
    paper_colour=(1.0, 1.0, 1.0), paper_texture=0, gradient=0, perspective=0, blur=0, noise=0, jpeg_quality=100
)
"""A photo without any disturbance: what differs from it is the factor that was changed."""


@pytest.fixture
def ring() -> np.ndarray:
    """uint8 (28, 28): a nought, 20 pixels high and 20 wide, its ink 3 pixels wide."""
    image = np.zeros((28, 28), np.uint8)
    cv2.circle(image, (14, 14), 8, 255, 3, cv2.LINE_AA)
    return image


@pytest.fixture
def bar() -> np.ndarray:
    """uint8 (28, 28): a one, upright, 20 pixels high, 4 wide."""
    image = np.zeros((28, 28), np.uint8)
    image[4:24, 12:16] = 255
    return image


def ink_of(photo: np.ndarray) -> np.ndarray:
    """bool (H, W): darker than half of the paper."""
    return photo.mean(axis=2) < np.median(photo) * 0.6


def box_of(ink: np.ndarray) -> tuple[int, int, int, int]:
    """Top, bottom, left, right of the ink, in pixels."""
    rows, columns = np.nonzero(ink)
    return rows.min(), rows.max() + 1, columns.min(), columns.max() + 1


def take(digit: np.ndarray, seed: int = 0, **factors) -> np.ndarray:
    return simulate_photo(digit, np.random.default_rng(seed), replace(STUDIO, **factors))


def test_a_photo_is_an_rgb_picture_of_the_asked_frame(ring):
    photo = take(ring, frame=(160, 240))
    assert photo.dtype == np.uint8 and photo.shape == (160, 240, 3)


@pytest.mark.parametrize("seed", range(40))
def test_random_conditions_always_give_a_picture(seed, ring):
    photo = simulate_photo(ring, np.random.default_rng(seed))
    assert photo.dtype == np.uint8 and photo.ndim == 3 and photo.shape[2] == 3
    assert min(photo.shape[:2]) >= 100 and max(photo.shape[:2]) <= 410


def test_a_photo_depends_on_its_digit_and_the_seed_but_not_on_its_neighbours(ring, bar):
    together = photo_set(np.stack([ring, bar]), 7, None)
    alone = photo_set(bar[None], 7, None)
    assert np.array_equal(together[1], alone[0])
    other = photo_set(bar[None], 8, None)[0]
    assert other.shape != alone[0].shape or not np.array_equal(other, alone[0])


def test_an_empty_digit_leaves_blank_paper():
    photo = take(np.zeros((28, 28), np.uint8))
    assert np.ptp(photo.astype(int)) <= 2 and abs(int(photo[0, 0, 0]) - 205) <= 1


def test_paper_brightness_and_contrast_are_grey_levels_of_paper_and_ink(bar):
    photo = take(bar, paper_brightness=160, contrast=0.5, ink_colour=(0, 0, 0))
    assert abs(int(np.median(photo)) - 160) <= 1
    # Felt pens leave up to 7 % of the paper uncovered.
    assert 80 <= np.median(photo[80:120, 98:102]) <= 88


def test_paper_colour_and_ink_colour_show(bar):
    photo = take(bar, paper_colour=(1.0, 0.8, 0.6), ink_colour=(0.0, 0.0, 1.0), contrast=1.0)
    red, _, blue = photo[5, 5].astype(int)
    assert red > blue + 60
    red, _, blue = photo[100, 100].astype(int)
    assert blue > red + 60


@pytest.mark.parametrize("size", [0.2, 0.5, 0.9])
def test_the_digit_has_the_asked_size(size, ring):
    top, bottom, left, right = box_of(ink_of(take(ring, size=size)))
    assert bottom - top == pytest.approx(size * 200, abs=4)
    assert right - left == pytest.approx(size * 200, abs=4)


@pytest.mark.parametrize("width", [0.04, 0.1, 0.2, 0.3])
def test_the_stroke_has_the_asked_width(width, bar):
    photo = take(bar, stroke_width=width, size=0.8, contrast=1)
    row = ink_of(photo)[100].sum()
    assert row == pytest.approx(width * 160 * 20 / (20 + (width - 0.2) * 20), rel=0.25, abs=3)


def test_position_one_touches_the_edges(ring):
    top, bottom, left, right = box_of(ink_of(take(ring, position=(1.0, -1.0), size=0.4)))
    assert top <= 3 and right >= 197
    top, bottom, left, right = box_of(ink_of(take(ring, position=(0.0, 0.0), size=0.4)))
    assert (top + bottom) / 2 == pytest.approx(100, abs=2) and (left + right) / 2 == pytest.approx(100, abs=2)


def test_rotation_turns_clockwise_by_degrees(bar):
    rows, columns = np.nonzero(ink_of(take(bar, rotation=20)))
    slope = np.polyfit(rows, columns, 1)[0]
    assert np.degrees(np.arctan(-slope)) == pytest.approx(20, abs=2)


def test_gradient_takes_the_asked_part_of_the_light():
    photo = take(np.zeros((28, 28), np.uint8), gradient=0.5).astype(float).mean(axis=2)
    assert photo.min() / photo.max() == pytest.approx(0.5, abs=0.03)


def test_shadow_darkens_one_side_behind_an_edge():
    photo = take(np.zeros((28, 28), np.uint8), shadow=0.4).astype(float).mean(axis=2)
    light, dark = photo > 200, photo < 125
    assert light.mean() > 0.2 and dark.mean() > 0.2 and (light | dark).mean() > 0.85
    assert photo.min() / photo.max() == pytest.approx(0.6, abs=0.02)


@pytest.mark.parametrize(("ruling", "directions"), [("plain", 0), ("lined", 1), ("squared", 2)])
def test_ruling_prints_lines_in_as_many_directions(ruling, directions):
    photo = take(np.zeros((28, 28), np.uint8), ruling=ruling, size=0.3).astype(float).mean(axis=2)
    spread = [np.ptp(photo.mean(axis=axis)) > 10 for axis in (0, 1)]
    assert sum(spread) == directions


def test_light_on_dark_turns_paper_and_ink_around(bar):
    photo = take(bar, polarity="light_on_dark", paper_brightness=230, contrast=0.9)
    assert np.median(photo) < 50 and photo[100, 100].mean() > 180


def test_blur_noise_and_jpeg_do_what_they_say(bar):
    sharp = take(bar)
    soft = take(bar, blur=3)
    assert np.abs(np.diff(soft.astype(int), axis=1)).max() < np.abs(np.diff(sharp.astype(int), axis=1)).max() / 2
    noisy = take(np.zeros((28, 28), np.uint8), noise=8)
    assert noisy.mean(axis=2).std() == pytest.approx(8, rel=0.1)
    coarse = take(bar, jpeg_quality=5)
    assert np.abs(coarse.astype(int) - sharp).mean() > 0.5


@pytest.mark.parametrize("surroundings", ["table", "finger"])
def test_surroundings_reach_in_from_the_edge_and_leave_the_middle_alone(surroundings):
    blank = np.zeros((28, 28), np.uint8)
    with_it, without = take(blank, surroundings=surroundings), take(blank)
    changed = np.abs(with_it.astype(int) - without).max(axis=2) > 8
    edges = np.concatenate([changed[0], changed[-1], changed[:, 0], changed[:, -1]])
    assert edges.any() and not changed[60:140, 60:140].any()


def test_perspective_bends_what_is_square():
    square = np.zeros((28, 28), np.uint8)
    square[4:24, 4:24] = 255
    square[7:21, 7:21] = 0

    def breadths(**factors) -> np.ndarray:
        rows = ink_of(take(square, size=0.8, **factors))[60:140]
        return np.array([np.ptp(np.flatnonzero(row)) for row in rows])

    assert np.ptp(breadths()) <= 2 and np.ptp(breadths(perspective=0.15)) > 6


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ruling", "dotted"),
        ("pen", "brush"),
        ("polarity", "both"),
        ("surroundings", "cat"),
        ("contrast", 1.5),
        ("shadow", -0.1),
        ("size", 0.0),
        ("stroke_width", 0.9),
        ("frame", (4, 200)),
    ],
)
def test_impossible_conditions_are_refused_by_name(field, value):
    with pytest.raises(ConfigurationError, match=field):
        PhotoConditions(**{field: value})


def test_random_conditions_vary_every_factor():
    rng = np.random.default_rng(0)
    drawn = [random_conditions(rng) for _ in range(200)]
    for field in PhotoConditions.__dataclass_fields__:
        assert len({str(getattr(conditions, field)) for conditions in drawn}) > 1, field


def test_thinning_leaves_one_pixel_wide_lines_and_keeps_a_ring_closed(ring):
    mask = (cv2.resize(ring, (112, 112)) > 128).astype(np.uint8)
    thin = thinned(mask)
    assert not (thin & ~mask).any()
    blocks = thin[:-1, :-1] + thin[1:, :-1] + thin[:-1, 1:] + thin[1:, 1:]
    assert blocks.max() < 4
    holes, _ = cv2.connectedComponents(1 - thin, connectivity=4)
    assert holes - 1 == 2  # outside and inside


def test_a_stroke_knows_its_width_and_place(bar):
    stroke = trace_stroke(bar)
    assert stroke.half_width == pytest.approx(8, abs=1)
    left, top, width, height = stroke.box
    assert (left, top, width, height) == pytest.approx((48, 16, 16, 80), abs=3)
