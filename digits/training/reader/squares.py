"""Simulated squares for the page network, made by Ray Data in parallel while the network trains.

A square depends only on the run's seed and its own number. So the squares and their order are the same for any number
of workers and tasks, and after a run is resumed.
"""

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import ray
import ray.data

from digits.augmentation.page_digits import DigitShapes, joined, make_shapes
from digits.augmentation.page_layouts import SIDE
from digits.augmentation.pages import simulated_square
from digits.config import DataConfig
from digits.data.files import DigitFiles
from digits.data.read import read_without_ray
from digits.data.split import split_rows
from digits.models.page_targets import targets_of
from digits.preprocessing.local_contrast import local_contrast
from digits.training.reader.run import PageTraining

TRAINING_DIGITS = 50_000
"""Of MNIST's 60,000, the first are written on training's pages, the others on the pages that judge it."""
SHAPES_PER_TASK = 1_500
SQUARES_PER_TASK = 256
"""Ray Data begins when it has planned all tasks of a run: with 32 squares in each, a minute and a half later."""
TASK_CPUS = 0.5
"""Fraction of a core that Ray reserves for each task that makes squares."""
TASKS = 2
"""Tasks at a time: they make squares faster than two cores train on them."""


def prepared_square(shapes: DigitShapes, seed: int, number: int) -> dict[str, np.ndarray]:
    """One square as the network is trained on it: maps, centres, boxes, digits (see `training.reader.loop`)."""
    square = simulated_square(shapes, np.random.default_rng((seed, number)))
    left, top, right, bottom = square.frame
    maps = np.zeros((SIDE, SIDE, 2), np.uint8)
    maps[top:bottom, left:right] = local_contrast(np.ascontiguousarray(square.picture[top:bottom, left:right]))
    centres, boxes, digits = targets_of(square.digits, square.ignored, square.turn)
    return {"maps": maps, "centres": centres, "boxes": boxes, "digits": digits}


@ray.remote(num_cpus=TASK_CPUS)
def _some_shapes(digits: np.ndarray, labels: np.ndarray, seed: tuple[int, ...]) -> DigitShapes:
    cv2.setNumThreads(1)
    return make_shapes(digits, labels, np.random.default_rng(seed))


def begin_shapes(files: DigitFiles, config: PageTraining) -> ray.ObjectRef[Any]:
    """The shapes that a run's pages are written with, made in parallel and put into Ray's object store."""
    originals = np.flatnonzero(~split_rows(files, DataConfig(protocol="literature")))[:TRAINING_DIGITS]
    chosen = np.zeros(files.num_digits, bool)
    chosen[np.random.default_rng((config.seed, 1)).permutation(originals)[: config.num_shapes]] = True
    digits, labels = read_without_ray(files, chosen, inverted_copies=False)
    starts = range(0, len(labels), SHAPES_PER_TASK)
    pieces = [
        _some_shapes.remote(digits[at : at + SHAPES_PER_TASK], labels[at : at + SHAPES_PER_TASK], (config.seed, 2, at))
        for at in starts
    ]
    return ray.put(joined(ray.get(pieces)))


def squares(
    config: PageTraining, shapes: ray.ObjectRef[Any], first: int, rank: int, world_size: int
) -> ray.data.Dataset:
    """This worker's squares from epoch `first` (from 0) to the last, in the order in which it trains on them."""
    size = config.global_batch_size // world_size
    steps = np.arange(first * config.steps_per_epoch, config.epochs * config.steps_per_epoch)
    numbers = (steps[:, None] * config.global_batch_size + rank * size + np.arange(size)).reshape(-1)

    def make(rows: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        cv2.setNumThreads(1)
        known = ray.get(shapes)
        made = [prepared_square(known, config.seed, int(numbers[row])) for row in rows["id"]]
        return {name: np.stack([one[name] for one in made]) for name in made[0]}

    blocks = -(-len(numbers) // SQUARES_PER_TASK)
    dataset = ray.data.range(len(numbers), override_num_blocks=blocks).map_batches(
        make, batch_size=None, num_cpus=TASK_CPUS, compute=ray.data.TaskPoolStrategy(size=TASKS)
    )
    dataset.context.execution_options.preserve_order = True  # in its own copy: the global settings would come too late
    return dataset


def batches(dataset: ray.data.Dataset, size: int) -> Iterator[dict[str, np.ndarray]]:
    """A dataset's rows in order, `size` at a time, read a few batches ahead."""
    yield from dataset.iter_batches(batch_size=size, batch_format="numpy", prefetch_batches=4, drop_last=True)
