"""Simulated photos of validation digits, as the network sees them: a training run's photo score is measured on them.

Made once for a run, in parallel, by Ray tasks that work while the training workers start.
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
"""Tasks that make them; together they hold what training leaves free on a node, so that no worker waits for them."""
LOW_PRIORITY = 10
"""Niceness of the processes that make photos."""
SEED = 0
"""The same photos for every run on the same digits, so that scores can be compared."""


def start_photo_digits(split: Split) -> list[ray.ObjectRef]:
    """Start making the photos of validation digits; each reference is a part of uint8 (N, 28, 28) and int64 (N,).

    Of 1,000 originals, evenly spread over those that validate (of all, where there are fewer). A label of -1 marks a
    photo in which no digit was found.
    """
    images, labels = read_without_ray(split.files, evenly(split.validates, NUM_PHOTOS), inverted_copies=False)
    tasks = [rows for rows in np.array_split(np.arange(len(labels)), NUM_TASKS) if len(rows)]
    return [make_photo_digits.remote(images[rows], labels[rows], SEED) for rows in tasks]


def wait_for_photos(photo_digits: Sequence[ray.ObjectRef], rank: int, world_size: int) -> Digits:
    """A worker's part of the photos that `start_photo_digits` started; waits until they are made."""
    return digits_of_worker(concatenate(ray.get(list(photo_digits))), rank, world_size)


@ray.remote(num_cpus=DATA_CPUS / NUM_TASKS, max_calls=1)
def make_photo_digits(images: np.ndarray, labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """One part of the photos, as the network sees them."""
    # In the moments that the start of training leaves free, which does not wait for them until its first epoch ends.
    # Nothing else is to run in this process afterwards (max_calls).
    os.setpriority(os.PRIO_PROCESS, 0, LOW_PRIORITY)
    return photo_score_images(images, labels, seed)
