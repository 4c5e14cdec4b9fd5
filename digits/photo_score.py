"""The photo score: how many validation digits a network still reads from simulated photos.

Validation accuracy saturates near 99 %; this score goes the way of a user's photo, from paper to
photos.prepare_photo to the network, and chooses the best checkpoint. The images are made once per training.
"""

from collections.abc import Callable

import numpy as np

from digits.config import CHANNELS, IMAGE_SIZE
from digits.photos import NoDigitFound, prepare_photo
from digits.simulation import photo_set

NO_DIGIT = -1
"""Label of a photo in which no digit was found: no prediction equals it, so it counts as an error."""


def photo_score_images(digits: np.ndarray, labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """What the network sees of simulated photos of `digits`, and the labels to score it by.

    uint8 (N, 28, 28) light ink on black and int (N,) -> uint8 (N, 28, 28, 3) and int64 (N,), in the same
    order. Where preparation found no digit the image is black and the label NO_DIGIT. Each photo
    depends on `seed` and its digit only: batches of any size give the same images.
    """
    return prepared(photo_set(digits, seed), labels)


def prepared(photos: list[np.ndarray], labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """N photos uint8 (H, W, 3) and int (N,) -> uint8 (N, 28, 28, 3) and int64 (N,), as photo_score_images."""
    images = np.zeros((len(photos), IMAGE_SIZE, IMAGE_SIZE, CHANNELS), np.uint8)
    scored = np.array(labels, np.int64)
    for index, photo in enumerate(photos):
        try:
            images[index] = prepare_photo(photo)
        except NoDigitFound:
            scored[index] = NO_DIGIT
    return images, scored


def photo_score(predict: Callable[[np.ndarray], np.ndarray], images: np.ndarray, labels: np.ndarray) -> float:
    """Fraction of the photos read rightly, 0..1.

    `predict` takes uint8 (N, 28, 28, 3) and gives float (N, 10); `images` and `labels` come from
    photo_score_images.
    """
    return float((predict(images).argmax(axis=1) == labels).mean())
