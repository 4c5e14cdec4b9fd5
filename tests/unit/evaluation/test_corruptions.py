"""The fifteen families of MNIST-C do what the paper says, repeatably and to every image by itself."""

import cv2
import numpy as np
import pytest

from digits.errors import ConfigurationError
from digits.evaluation import corruptions
from digits.evaluation.corruptions import FAMILIES, corrupt

ONE_LEVEL = ("stripe", "dotted_line", "zigzag", "canny_edges")


@pytest.fixture
def images() -> np.ndarray:
    """uint8 (40, 28, 28): a bright L-shaped stroke in the middle of each image."""
    digits = np.zeros((40, 28, 28), np.uint8)
    digits[:, 6:22, 10:13] = 255
    digits[:, 19:22, 10:19] = 255
    return digits


def centre_of_mass(image: np.ndarray) -> np.ndarray:
    weight = image.astype(float)
    rows, columns = np.indices(image.shape)
    return np.array([(weight * rows).sum(), (weight * columns).sum()]) / weight.sum()


def test_the_families_are_the_fifteen_of_the_paper():
    assert " ".join(FAMILIES) == (
        "shot_noise impulse_noise glass_blur motion_blur shear scale rotate brightness "
        "translate stripe fog spatter dotted_line zigzag canny_edges"
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_keeps_the_contract_and_changes_the_images(family, images):
    before = images.copy()
    corrupted = corrupt(images, family, 3)
    assert corrupted.dtype == np.uint8 and corrupted.shape == images.shape
    assert np.array_equal(images, before)
    assert (corrupted != images).any(axis=(1, 2)).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_seed_repeats_and_no_images_give_no_images(family, images):
    assert np.array_equal(corrupt(images, family, 5), corrupt(images, family, np.random.default_rng(5)))
    assert corrupt(images[:0], family, 5).shape == (0, 28, 28)


@pytest.mark.parametrize("family", [family for family in FAMILIES if family not in ONE_LEVEL])
def test_five_severities_exist_and_the_fifth_changes_more_than_the_first(family, images):
    # motion and glass blur of the paper grow in smear, not in absolute difference: compare the ends only.
    changes = [np.abs(corrupt(images, family, 1, level).astype(int) - images).mean() for level in (1, 5)]
    if family != "spatter":  # its levels trade few large drops for many small ones
        assert changes[0] < changes[1]
    with pytest.raises(ConfigurationError, match="severity = 6"):
        corrupt(images, family, 1, 6)


@pytest.mark.parametrize("family", ONE_LEVEL)
def test_families_without_levels_refuse_a_second_severity(family, images):
    with pytest.raises(ConfigurationError, match="from 1 to 1"):
        corrupt(images, family, 1, 2)


def test_an_unknown_family_is_refused_by_name(images):
    with pytest.raises(ConfigurationError, match="'sepia'"):
        corrupt(images, "sepia", 0)


def test_shot_noise_keeps_black_black_and_the_mean_of_grey(images):
    assert not corrupt(np.zeros_like(images), "shot_noise", 0).any()
    grey = np.full((200, 28, 28), 80, np.uint8)
    # Counts of mean 0.94 in thirds of white, clipped at white: mean 76.9 by the Poisson distribution.
    counts = np.arange(40)
    mean = 80 / 255 * 3
    factorials = np.cumprod(np.maximum(counts, 1).astype(float))
    expected = (np.exp(-mean) * mean**counts / factorials * np.minimum(counts / 3, 1)).sum() * 255
    assert corrupt(grey, "shot_noise", 0).mean() == pytest.approx(expected, abs=1)


def test_impulse_noise_turns_seventeen_percent_half_white_half_black():
    noisy = corrupt(np.full((200, 28, 28), 100, np.uint8), "impulse_noise", 0)
    assert (noisy == 255).mean() == pytest.approx(0.085, abs=0.005)
    assert (noisy == 0).mean() == pytest.approx(0.085, abs=0.005)
    assert set(np.unique(noisy)) == {0, 100, 255}


@pytest.mark.parametrize("family", ["glass_blur", "motion_blur"])
def test_blurs_leave_even_grey_alone_and_keep_the_amount_of_ink(family, images):
    even = np.full_like(images, 90)
    assert np.array_equal(corrupt(even, family, 0), even)
    assert corrupt(images, family, 0).mean() == pytest.approx(images.mean(), rel=0.03)


def test_rotation_turns_by_four_tenths_of_a_radian_either_way(images):
    bar = np.zeros_like(images)
    bar[:, 4:24, 13:15] = 255
    angles = []
    for image in corrupt(bar, "rotate", 0):
        rows, columns = np.nonzero(image > 100)
        angles.append(np.arctan(np.polyfit(rows - 13.5, columns - 13.5, 1)[0]))
    assert np.allclose(np.abs(angles), 0.4, atol=0.03)
    assert min(angles) < 0 < max(angles)


def test_scale_shrinks_to_seven_tenths_around_the_centre(images):
    square = np.zeros_like(images)
    square[:, 4:24, 4:24] = 255
    small = corrupt(square, "scale", 0)[0]
    assert np.sqrt(small.sum() / 255) == pytest.approx(14, abs=0.3)
    assert np.allclose(centre_of_mass(small), 13.5, atol=0.05)


def test_shear_moves_rows_in_proportion_to_their_height(images):
    bar = np.zeros_like(images)
    bar[:, 4:24, 12:16] = 255
    sheared = corrupt(bar, "shear", 0)
    tops, bottoms = (np.array([centre_of_mass(image[rows])[1] for image in sheared]) for rows in ([8], [19]))
    assert np.allclose(np.abs(tops - bottoms), 11 * np.sin(0.4), atol=0.2)
    assert len({*np.sign(tops - bottoms)}) == 2


def test_brightness_adds_half_of_white_and_stops_at_white(images):
    brighter = corrupt(images, "brightness", 0)
    assert set(np.unique(brighter)) == {128, 255}


def test_translation_is_three_pixels_along_both_axes(images):
    moves = {
        tuple(np.round(centre_of_mass(image) - centre_of_mass(images[0])).astype(int))
        for image in corrupt(images, "translate", 0)
    }
    assert moves == {(-3, -3), (-3, 3), (3, -3), (3, 3)}


def test_stripe_inverts_the_outer_quarters_only(images):
    striped = corrupt(images, "stripe", 0)
    assert np.array_equal(striped[:, :, 7:21], images[:, :, 7:21])
    assert np.array_equal(striped[:, :, :7], 255 - images[:, :, :7])
    assert np.array_equal(striped[:, :, 21:], 255 - images[:, :, 21:])


def test_fog_lights_the_background_smoothly_and_leaves_a_quarter_of_the_contrast(images):
    foggy = corrupt(np.tile(images, (10, 1, 1)), "fog", 0).astype(float)
    assert 80 < foggy.mean() < 130
    assert np.abs(np.diff(foggy[:, :5], axis=2)).mean() < 10
    contrast = (foggy[:, 6:20, 10:13].mean(axis=(1, 2)) - foggy[:, 6:20, 14:17].mean(axis=(1, 2))).mean()
    assert contrast == pytest.approx(255 / 4, abs=6)


def test_spatter_is_grey_on_black_and_hides_ink():
    drops = corrupt(np.zeros((40, 28, 28), np.uint8), "spatter", 0)
    assert 0 < (drops > 0).mean() < 0.4 and drops.max() <= 63
    assert corrupt(np.full((40, 28, 28), 255, np.uint8), "spatter", 0).min() <= 80


@pytest.mark.parametrize("family", ["dotted_line", "zigzag"])
def test_drawn_lines_only_add_ink_and_cross_the_image(family, images):
    drawn = corrupt(images, family, 0)
    assert (drawn >= images).all()
    # Lines may start at the lowest row and run out of the frame; most cross it.
    columns = (corrupt(np.zeros_like(images), family, 0) > 100).any(axis=1).sum(axis=1)
    assert np.median(columns) >= 13


def test_dots_are_two_columns_wide():
    line = corrupt(np.zeros((1, 28, 28), np.uint8), "dotted_line", 0)[0].any(axis=0)
    assert not line[0::4].any() and not line[1::4].any()


def test_edges_surround_a_square(images):
    square = np.zeros_like(images)
    square[:, 8:20, 8:20] = 255
    edges = corrupt(square, "canny_edges", 0)
    assert set(np.unique(edges)) == {0, 255}
    assert not edges[:, 11:17, 11:17].any() and not edges[:, :5].any()
    assert (edges[:, 10:18].any(axis=2)).all()


def test_the_blur_is_the_gaussian_of_opencv(images):
    ours = corruptions._blur(images[:1].astype(np.float32), 1.5)[0]
    theirs = cv2.GaussianBlur(images[0].astype(np.float32), (13, 13), 1.5, borderType=cv2.BORDER_REPLICATE)
    assert np.allclose(ours, theirs, atol=0.01)
