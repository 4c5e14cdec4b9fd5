"""The simulated photos of validation digits that a training's photo score is measured on, as the network sees them.

Made once for a job by parallel Ray tasks, while the training workers start.
"""

import os
from collections.abc import Sequence

import numpy as np
import ray

from digits.config import NUM_PHOTOS
from digits.data.batches import digits_of_worker
from digits.data.read import concatenate, read_without_ray
from digits.data.split import Split, evenly
from digits.evaluation.photo_score import photo_score_images
from digits.images import Digits
from digits.training.resources import DATA_CPUS

NUM_TASKS = 2
"""Tasks that make them; together they take what workers leave free on a node, so that no worker waits for a core."""
LOW_PRIORITY = 10
"""Niceness of the processes that make photos."""
SEED = 0
"""The same photos for every run on the same digits, so that scores can be compared."""


def read_originals(split: Split) -> Digits:
    """The digits that the photos show: 1,000 originals evenly spread over those that validate, or all if fewer."""
    return read_without_ray(split.files, evenly(split.validates, NUM_PHOTOS), inverted_copies=False)


def start_photo_digits(originals: Digits) -> list[ray.ObjectRef[Digits]]:
    """Start making photos of digits; returns references to them in pieces, uint8 (n, 28, 28) and labels int64 (n,).

    A label of -1 marks a photo in which no digit was found.
    """
    images, labels = originals
    tasks = [rows for rows in np.array_split(np.arange(len(labels)), NUM_TASKS) if len(rows)]
    return [make_photo_digits.remote(images[rows], labels[rows], SEED) for rows in tasks]


def wait_for_photos(photo_digits: Sequence[ray.ObjectRef[Digits]], rank: int, world_size: int) -> Digits:
    """A worker's share of the photos that `start_photo_digits` started; waits until they are made."""
    return digits_of_worker(concatenate(ray.get(list(photo_digits))), rank, world_size)


@ray.remote(num_cpus=DATA_CPUS / NUM_TASKS, max_calls=1)
def make_photo_digits(images: np.ndarray, labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """One piece of the photos, as the network sees them."""
    # In moments that the start of training leaves free: nobody waits for the photos before the first epoch has ended.
    # A process with low priority must not be used again for anything else, hence max_calls.
    os.setpriority(os.PRIO_PROCESS, 0, LOW_PRIORITY)
    return photo_score_images(images, labels, seed)
