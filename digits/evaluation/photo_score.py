"""The photo score: how many digits a network reads from simulated photos of the validation digits.

Validation accuracy saturates; this score goes the way of a user's photo, from paper to
prepare_photo to the network, and chooses the best checkpoint. The images are made once per training.
"""

import numpy as np

from digits.config import IMAGE_SIZE
from digits.errors import NoDigitFound
from digits.evaluation.simulated_photos import generator_of, photograph, random_conditions, simulate_photo
from digits.evaluation.unseen_styles import STYLES_OF, written
from digits.preprocessing.prepare import prepare_photo

NO_DIGIT = -1
"""Label of a photo in which no digit was found: no prediction equals it, so it counts as an error."""
UNSEEN_FRACTION = 0.22
"""Fraction of digits rewritten in a style that MNIST lacks, among labels that have such a style: a fifth of all."""


def everyday_photos(digits: np.ndarray, labels: np.ndarray, seed: int) -> list[np.ndarray]:
    """Photos as people take them, one for each digit, in order: uint8 (N, 28, 28), int (N,) -> N uint8 (H, W, 3).

    Every condition is random, and every fifth digit is written in a style that MNIST lacks. A photo depends only on
    `seed`, its digit and its label, so however the work is split, the photos are the same.
    """
    photos = []
    for digit, label in zip(digits, labels, strict=True):
        rng = generator_of(digit, seed)
        styles = STYLES_OF[int(label)]
        if styles and rng.random() < UNSEEN_FRACTION:
            photos.append(photograph(written(str(rng.choice(styles)), rng), rng, random_conditions(rng)))
        else:
            photos.append(simulate_photo(digit, rng))
    return photos


def photo_score_images(digits: np.ndarray, labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """What the network sees of everyday photos of `digits`, and the labels to score it by.

    uint8 (N, 28, 28) light ink on black and int (N,) -> uint8 (N, 28, 28) and int64 (N,), in the same order.
    Where preparation found no digit, the image is black and the label NO_DIGIT. Batches of any size give the same
    images, see everyday_photos.
    """
    return prepared(everyday_photos(digits, labels, seed), labels)


def prepared(photos: list[np.ndarray], labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """N photos uint8 (H, W, 3) and int (N,) -> uint8 (N, 28, 28) and int64 (N,), as photo_score_images."""
    images = np.zeros((len(photos), IMAGE_SIZE, IMAGE_SIZE), np.uint8)
    scored = np.array(labels, np.int64)
    for index, photo in enumerate(photos):
        try:
            images[index] = prepare_photo(photo)
        except NoDigitFound:
            scored[index] = NO_DIGIT
    return images, scored
