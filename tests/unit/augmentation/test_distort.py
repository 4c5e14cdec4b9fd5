"""Distortion changes the writing and never the digit: repeatable, different each time, drawn as people write."""

import cv2
import numpy as np
import pytest

from digits.augmentation import distort as distortion
from digits.augmentation.distort import distort
from digits.augmentation.letterforms import synthesise
from digits.errors import ConfigurationError

LABELS = np.tile(np.arange(10), 60)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """uint8 (600, 28, 28): drawings of the digits 0..9, sixty times over."""
    return synthesise(LABELS, np.random.default_rng(11))


@pytest.fixture
def hands_only(monkeypatch):
    """Distortion of shape and pen alone: no clutter, paper or camera, every digit fitted, none replaced."""
    monkeypatch.setattr(distortion, "RESTYLED", (0.0,) * 10)
    monkeypatch.setattr(distortion, "UNFITTED", 0.0)
    monkeypatch.setattr(distortion, "_expose", lambda images, rng, strength: images)


def centres(images: np.ndarray) -> np.ndarray:
    """Centre of mass in rows and columns: float (N, 2)."""
    weight = images.astype(float)
    rows, columns = np.indices((28, 28))
    return np.stack([(weight * rows).sum((1, 2)), (weight * columns).sum((1, 2))], 1) / weight.sum((1, 2))[:, None]


def stroke_widths(images: np.ndarray) -> np.ndarray:
    """Twice the ink's area over its outline's length: float (N,), pixels."""
    widths = []
    for image in images:
        ink = (image > 127).astype(np.uint8)
        outlines, _ = cv2.findContours(ink, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        widths.append(2 * ink.sum() / max(1.0, sum(cv2.arcLength(outline, True) for outline in outlines)))
    return np.array(widths)


def test_distortion_keeps_the_image_contract(images):
    distorted = distort(images, LABELS, np.random.default_rng(0))
    assert distorted.dtype == np.uint8 and distorted.shape == images.shape
    assert distorted is not images and not np.shares_memory(distorted, images)


def test_distortion_leaves_its_input_alone(images):
    before = images.copy()
    distort(images, LABELS, np.random.default_rng(0))
    np.testing.assert_array_equal(images, before)


def test_equal_generators_give_equal_pixels(images):
    first, second = (distort(images, LABELS, np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_every_epoch_sees_other_pixels(images):
    rng = np.random.default_rng(7)
    first, second = (distort(images, LABELS, rng) for _ in range(2))
    same = (first == second).all((1, 2))
    assert same.mean() < 0.1, "only digits left untouched twice may repeat"


def test_equal_digits_come_out_different(images):
    copies = np.repeat(images[:1], 100, axis=0)
    distorted = distort(copies, np.zeros(100, int), np.random.default_rng(1))
    assert len(np.unique(distorted.reshape(100, -1), axis=0)) > 90


def test_no_images_give_no_images():
    assert distort(np.empty((0, 28, 28), np.uint8), np.empty(0, int), np.random.default_rng(0)).shape == (0, 28, 28)


def test_blank_images_are_no_error(images):
    blank = np.zeros((40, 28, 28), np.uint8)
    assert distort(blank, np.zeros(40, int), np.random.default_rng(0)).shape == blank.shape


@pytest.mark.parametrize(
    ("wrong", "labels"),
    [
        (np.zeros((2, 28, 28), np.float32), [0, 1]),
        (np.zeros((2, 28, 28, 3), np.uint8), [0, 1]),
        (np.zeros((2, 28, 28), np.uint8), [0, 1, 2]),
        (np.zeros((2, 28, 28), np.uint8), [0, 10]),
        (np.zeros((2, 28, 28), np.uint8), [-2, 0]),
    ],
)
def test_wrong_images_or_labels_are_refused(wrong, labels):
    with pytest.raises(ConfigurationError, match="what to do"):
        distort(wrong, np.array(labels), np.random.default_rng(0))


def test_ink_stays_light_on_a_darker_ground(images):
    distorted = distort(images, LABELS, np.random.default_rng(2)).astype(float)
    border = np.concatenate([distorted[:, [0, -1]].reshape(600, -1), distorted[:, :, [0, -1]].reshape(600, -1)], axis=1)
    assert (distorted.max((1, 2)) > np.median(border, axis=1)).mean() > 0.99


def test_fitted_digits_stay_centred_and_inside_the_frame(images, hands_only):
    distorted = distort(images, LABELS, np.random.default_rng(3))
    off = np.abs(centres(distorted) - 14)
    assert np.quantile(off, 0.99) < 1.2 and off.mean() < 0.5
    assert (distorted[:, [0, -1]] > 60).any((1, 2)).mean() < 0.05


def test_some_digits_are_placed_freely(images, monkeypatch, hands_only):
    monkeypatch.setattr(distortion, "UNFITTED", 1.0)
    off = np.abs(centres(distort(images, LABELS, np.random.default_rng(3))) - 14).max(1)
    assert np.quantile(off, 0.75) > 3


def test_strokes_vary_in_width_around_that_of_the_originals(images, hands_only):
    before, after = stroke_widths(images), stroke_widths(distort(images, LABELS, np.random.default_rng(4)))
    assert np.median(after) == pytest.approx(np.median(before), rel=0.25)
    assert np.std(after / before) > 0.15


def test_digits_turn_and_slant_both_ways(hands_only):
    bar = np.zeros((300, 28, 28), np.uint8)
    bar[:, 4:24, 13:16] = 255
    lean = []
    for image in distort(bar, np.ones(300, int), np.random.default_rng(5)):
        moments = cv2.moments(image)
        lean.append(moments["mu11"] / moments["mu02"])
    assert abs(np.mean(lean)) < 0.05 and 0.12 < np.std(lean) < 0.4


@pytest.mark.parametrize(("strength", "least", "most"), [(0.0, 0.0, 0.02), (0.5, 0.06, 0.2), (1.5, 0.18, 0.6)])
def test_the_strength_says_how_far_digits_lean(hands_only, strength, least, most):
    bar = np.zeros((300, 28, 28), np.uint8)
    bar[:, 4:24, 13:16] = 255
    moments = [cv2.moments(image) for image in distort(bar, np.ones(300, int), np.random.default_rng(5), strength)]
    assert least <= np.std([each["mu11"] / each["mu02"] for each in moments]) <= most


def test_the_strength_says_how_often_digits_are_replaced_and_soiled():
    shares, blank = [], np.zeros((2000, 28, 28), np.uint8)
    for strength in (0.0, 0.5, 1.0, 2.0):
        distorted = distort(blank, np.repeat(np.arange(10), 200), np.random.default_rng(9), strength)
        shares.append(distorted.any((1, 2)).mean())
    assert shares[0] == 0 and shares == sorted(shares)
    assert shares[3] - shares[2] > 0.1 and shares[2] - shares[1] > 0.1


def test_the_label_decides_the_synthesised_digit(monkeypatch):
    """Blank input makes every ink a synthesised digit; each label's ink agrees with its own letterforms."""
    monkeypatch.setattr(distortion, "RESTYLED", (1.0,) * 10)
    monkeypatch.setattr(distortion, "UNTOUCHED", 1.0)
    monkeypatch.setattr(distortion, "_expose", lambda images, rng, strength: images)
    seen = distort(np.zeros((600, 28, 28), np.uint8), LABELS, np.random.default_rng(6))
    assert read(seen, neighbours=synthesise(LABELS, np.random.default_rng(60))).mean() > 0.9


def test_distorted_digits_remain_legible(images):
    """A nearest-neighbour reader that knows only undistorted drawings still reads most of them."""
    distorted = distort(images, LABELS, np.random.default_rng(8))
    assert read(distorted, neighbours=synthesise(LABELS, np.random.default_rng(80))).mean() > 0.6


def test_replaced_digits_are_as_frequent_as_stated(monkeypatch):
    monkeypatch.setattr(distortion, "RESTYLED", tuple(np.linspace(0, 0.9, 10)))
    monkeypatch.setattr(distortion, "_write", lambda images, rng, strength: images)
    monkeypatch.setattr(distortion, "_expose", lambda images, rng, strength: images)
    labels = np.repeat(np.arange(10), 400)
    replaced = distort(np.zeros((4000, 28, 28), np.uint8), labels, np.random.default_rng(9)).any((1, 2))
    shares = replaced.reshape(10, 400).mean(1)
    np.testing.assert_allclose(shares, np.linspace(0, 0.9, 10), atol=0.09)


def test_chunks_do_not_show(images, monkeypatch):
    """The last, shorter chunk is distorted like the rest."""
    monkeypatch.setattr(distortion, "CHUNK", 7)
    distorted = distort(images[:10], LABELS[:10], np.random.default_rng(0))
    assert (distorted.max((1, 2)) > 50).all()


def read(images: np.ndarray, neighbours: np.ndarray) -> np.ndarray:
    """Whether the most similar of `neighbours` (labels LABELS) has the label of each image (also LABELS): bool (N,)."""

    def features(pictures):
        blurred = np.stack([cv2.GaussianBlur(picture, (0, 0), 1.5) for picture in pictures]).reshape(len(pictures), -1)
        centred = blurred - blurred.mean(1, keepdims=True, dtype=float)
        return centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-9)

    return LABELS[(features(images) @ features(neighbours).T).argmax(1)] == LABELS
