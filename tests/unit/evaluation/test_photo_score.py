"""The photo score goes the whole way from paper to prediction, and counts what it cannot read as wrong."""

import cv2
import numpy as np
import pytest

from digits.evaluation import photo_score as module
from digits.evaluation.metrics import evaluate
from digits.evaluation.photo_score import NO_DIGIT, everyday_photos, photo_score_images, prepared


@pytest.fixture
def digits() -> np.ndarray:
    """uint8 (6, 28, 28): noughts and ones of several sizes."""
    images = np.zeros((6, 28, 28), np.uint8)
    for index, image in enumerate(images):
        if index % 2:
            image[4 : 22 + index // 2, 12:15] = 255
        else:
            cv2.ellipse(image, (14, 14), (5 + index // 2, 9), 0, 0, 360, 255, 2, cv2.LINE_AA)
    return images


def test_images_are_what_the_network_sees_in_the_order_of_the_digits(digits):
    images, labels = photo_score_images(digits, np.array([0, 1] * 3), seed=4)
    assert images.dtype == np.uint8 and images.shape == (6, 28, 28)
    assert labels.tolist() == [0, 1, 0, 1, 0, 1]
    # Light ink on black: the hole of a nought is dark, the middle of a one is light.
    middle = images[:, 12:16, 12:16].mean(axis=(1, 2))
    assert (middle[0::2] < 100).all() and (middle[1::2] > 100).all()


def test_the_same_seed_gives_the_same_images_whatever_the_batches(digits):
    labels = np.arange(6)
    whole, _ = photo_score_images(digits, labels, seed=1)
    parts = [photo_score_images(digits[start : start + 2], labels[start : start + 2], seed=1)[0] for start in (0, 2, 4)]
    assert np.array_equal(whole, np.concatenate(parts))
    assert not np.array_equal(whole, photo_score_images(digits, labels, seed=2)[0])


def test_a_fifth_is_written_in_styles_that_mnist_lacks_under_the_same_labels(monkeypatch):
    blank = np.zeros((400, 28, 28), np.uint8)
    blank[:, 0, 0], blank[:, 0, 1] = np.arange(400) % 256, np.arange(400) // 256  # all different, nothing written
    taken = []
    monkeypatch.setattr(module, "photograph", lambda stroke, rng, conditions: taken.append(stroke.box))
    monkeypatch.setattr(module, "simulate_photo", lambda digit, rng: None)
    assert len(everyday_photos(blank, np.full(400, 7), seed=0)) == 400
    assert 60 < len(taken) < 120
    assert all(height > width for _, _, width, height in taken)
    taken.clear()
    everyday_photos(blank, np.full(400, 6), seed=0)  # no style of the six is strange to MNIST
    assert not taken


def test_a_photo_without_a_digit_counts_as_an_error():
    blank = np.full((200, 200, 3), 220, np.uint8)
    written = blank.copy()
    cv2.line(written, (100, 50), (100, 150), (20, 20, 20), 10)
    images, labels = prepared([blank, written], np.array([1, 1]))
    assert labels.tolist() == [NO_DIGIT, 1] and not images[0].any() and images[1].any()
    ones = evaluate(lambda seen: np.eye(10, dtype=np.float32)[np.ones(len(seen), int)], images, labels)
    assert ones.accuracy == 0.5


def test_the_score_is_the_fraction_of_right_answers(digits):
    images, labels = photo_score_images(digits, np.array([0, 1] * 3), seed=4)

    def reads_holes(seen: np.ndarray) -> np.ndarray:
        """An independent reader: what is light in the middle is a one."""
        return np.eye(10, dtype=np.float32)[(seen[:, 12:16, 12:16].mean(axis=(1, 2)) > 100).astype(int)]

    assert evaluate(reads_holes, images, labels).accuracy == 1.0
    assert evaluate(reads_holes, images, labels[::-1]).accuracy == 0.0
