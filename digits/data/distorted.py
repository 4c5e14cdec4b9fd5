"""What a worker trains on in each epoch: the same digits every time, or distorted anew, on Ray Data.

Digits are distorted column by column, each with its own seed, in tasks that run ahead of training: a worker's
epoch holds the same pixels whatever the number of workers and wherever the tasks run.
How fast: docs/performance.md (jobs/benchmark.py --parts distortion).
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat

import numpy as np
import ray
import ray.data

from digits.augmentation.distort import distort
from digits.augmentation.outliers import outliers
from digits.config import OUTLIER, TrainingConfig
from digits.data.batches import Columns
from digits.data.files import IMAGE, LABEL
from digits.data.read import chunks, concatenate, in_tasks, invert_batch, to_memory
from digits.images import Digits

ORIGINALS_PER_TASK = 2_000
"""Digits that one task distorts: about a quarter of a second of one core."""
EPOCHS_AHEAD = 2
"""How many epochs are distorted ahead of the one that is trained on: bounds memory."""


def iterate_epochs(
    digits: Digits, columns: Columns, *, inverted_copies: bool, config: TrainingConfig, first: int
) -> Iterator[Digits]:
    """A worker's digits for each epoch from `first` (counted from 0) on: one pair of arrays per epoch.

    `digits` are the worker's own, in order; with `inverted_copies`, each original is followed by its copy. All epochs
    without distortion are the same object.
    """
    distorted = config.distorted_epochs if columns.owned else 0
    if first < distorted:
        images, labels = (array[:: 2 if inverted_copies else 1] for array in digits)
        yield from distort_epochs((images, labels), columns, inverted_copies, config, range(first, distorted))
    yield from repeat(digits, config.epochs - max(first, distorted))


def distort_epochs(
    originals: Digits, columns: Columns, inverted_copies: bool, config: TrainingConfig, epochs: range
) -> Iterator[Digits]:
    """The distorted digits of each epoch; Ray Data tasks make them while an earlier epoch is trained on."""
    images, labels = originals
    if len(images) == 0:  # a worker without digits takes part
        yield from repeat((images, labels), len(epochs))
        return
    num_tasks = -(-len(images) // ORIGINALS_PER_TASK)
    groups = chunks(np.array(columns.owned), -(-len(columns.owned) // num_tasks))
    constants = {
        "originals": [ray.put(images), ray.put(labels)],
        "columns": columns,
        "inverted_copies": inverted_copies,
        "seed": config.seed,
        "strength": config.distortion,
        "share_of_outliers": config.outliers,
    }

    def distorted(epoch: int) -> Digits:
        tasks = [{"epoch": epoch, "columns": group} for group in groups]
        dataset = ray.data.from_items(tasks, override_num_blocks=len(tasks))
        return to_memory(in_tasks(dataset, distort_columns, batch_size=1, **constants))

    # One dataset per epoch: a single one for all, throttled by a memory limit, keeps a core busy waiting.
    pool = ThreadPoolExecutor(max_workers=EPOCHS_AHEAD)
    try:
        waiting = deque(pool.submit(distorted, epoch) for epoch in epochs[:EPOCHS_AHEAD])
        for epoch in epochs:
            digits = waiting.popleft().result()
            if epoch + EPOCHS_AHEAD < epochs.stop:
                waiting.append(pool.submit(distorted, epoch + EPOCHS_AHEAD))
            yield digits
    finally:
        # Who leaves early, on Ctrl-C say, does not wait for epochs that nobody wants any more.
        pool.shutdown(wait=False, cancel_futures=True)


def distort_columns(
    task: dict[str, np.ndarray],
    originals: list[ray.ObjectRef[np.ndarray]],
    columns: Columns,
    inverted_copies: bool,
    seed: int,
    strength: float,
    share_of_outliers: float,
) -> dict[str, np.ndarray]:
    """One task: the distorted digits of some columns in one epoch, each followed by its inverted copy.

    Some give way to what is no digit, labelled OUTLIER.
    """
    images, labels = ray.get(originals)
    epoch, first = int(task["epoch"][0]), columns.owned_groups.start
    parts = []
    for column in map(int, task["columns"][0]):
        groups = columns.groups(column)
        rows = slice(groups.start - first, groups.stop - first)
        drawn = columns.drawn(seed, epoch, column) - groups.start
        shown, of_column = images[rows].copy(), labels[rows].copy()
        rng = np.random.default_rng((seed, epoch, column))
        if share_of_outliers:
            strange = drawn[rng.random(len(drawn)) < share_of_outliers]
            shown[strange], of_column[strange] = outliers(len(strange), rng), OUTLIER
        shown[drawn] = distort(shown[drawn], of_column[drawn], rng, strength)
        parts.append((shown, of_column))
    images, labels = concatenate(parts)
    batch = {IMAGE: images, LABEL: labels}
    return invert_batch(batch) if inverted_copies else batch
