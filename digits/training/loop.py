"""The training loop: fits one network on one worker's digits, under any TensorFlow distribution strategy.

Knows no Ray: Ray Train's workers and Ray Tune's trials both call `fit`. Keras 3's own `fit` does not run under
MultiWorkerMirroredStrategy. What one step computes: `digits.training.trainable`.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import keras
import numpy as np
import tensorflow as tf

from digits.config import Recipe
from digits.data.batches import Columns
from digits.images import Digits
from digits.training.batch_parts import in_parts, parts_of
from digits.training.group.shared_sum import SharedSum, can_share, name_of_group
from digits.training.state import EpochResult, TrainingState, require_finite
from digits.training.trainable import TrainableModel

STRETCHES_PER_EPOCH = 20
"""Calls of the compiled graph in one epoch: how often progress is told."""
VALIDATION_BATCH_SIZE = 500
"""Digits in one validation batch of a worker: fast on two cores, small on a GPU."""


@dataclass(frozen=True, kw_only=True, eq=False)
class WorkerDigits:
    """The digits of one worker."""

    epochs: Iterable[Digits]
    """Training digits of each epoch still to train, in the order of the columns; equal epochs are one object."""
    validation: Digits
    """Its share of the validation digits: over all workers, each digit counts exactly once."""
    photos: Callable[[], Digits]
    """Returns its share of the simulated photos that give the photo score. Called after the first epoch, so that the
    photos can be made meanwhile."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Device:
    """What a worker computes on, and how it works together with the others."""

    strategy: tf.distribute.Strategy = field(default_factory=tf.distribute.get_strategy)
    """MultiWorkerMirroredStrategy for several workers; the default runs alone."""
    cores: int = 1
    """Among how many cores each batch is divided."""
    shared_sum: SharedSum | None = None
    """Adds what several workers of one node have; the strategy is the default one then."""

    @classmethod
    def of_worker(cls, cores: int, rank: int, world_size: int, local_world_size: int, most_weights: int) -> "Device":
        """That of one of `world_size` workers, `local_world_size` of them on its node, whose TF_CONFIG is set.

        `most_weights` is the number of weights of the largest network that they train. Workers of one node without GPUs
        wait for each other here.
        """
        if world_size == 1:
            return cls(cores=cores)
        if tf.config.list_physical_devices("GPU") or not can_share(local_world_size, world_size):
            return cls(strategy=tf.distribute.MultiWorkerMirroredStrategy(), cores=cores)
        largest = max(most_weights * np.float32().nbytes, np.float64().nbytes * 2)
        return cls(cores=cores, shared_sum=SharedSum(name_of_group(), rank, world_size, largest))


def fit(
    recipe: Recipe,
    columns: Columns,
    digits: WorkerDigits,
    *,
    report: Callable[[TrainingState], None],
    progress: Callable[[int, float], None] = lambda epoch, fraction: None,
    resume: TrainingState | None = None,
    device: Device | None = None,
) -> None:
    """Train one network for all its epochs; Diverged, on all workers, after one whose loss or weights are not finite.

    Args:
        recipe: the network, and how it is trained.
        columns: which digits of each global batch this worker trains on.
        digits: what this worker trains on and validates with.
        report: called on every worker after each epoch, with the state that it leaves.
        progress: told the epoch (from 1) and the fraction of it that is trained.
        resume: where an earlier start ended; its epochs are not repeated.
        device: what this worker computes on; left out, one core.
    """
    config, device = recipe.training, device or Device()
    model = TrainableModel(
        architecture=recipe.architecture,
        config=config,
        total_steps=columns.steps_per_epoch * config.epochs,
        parts=parts_of(len(columns.owned), device.cores),
        place=columns.owned.start,
        strategy=device.strategy,
        shared_sum=device.shared_sum,
    )
    history = model.restore(resume) if resume else []
    held_out, photos = Scores(model, lambda: digits.validation), Scores(model, digits.photos)
    source = tensors = None
    for epoch, training in zip(range(len(history), config.epochs), digits.epochs, strict=True):
        start = time.perf_counter()
        if tensors is None or training is not source:
            source, tensors = training, on_device(training)
        loss, accuracy = train_epoch(model, tensors, columns, epoch, progress)
        train_seconds = time.perf_counter() - start
        validation_loss, validation_accuracy = held_out.mean()
        require_finite(epoch + 1, loss, validation_loss, *model.largest_weights())
        photo_loss, photo_score = photos.mean()
        history.append(
            EpochResult(
                epoch=epoch + 1,
                train_loss=loss,
                train_accuracy=accuracy,
                validation_loss=validation_loss,
                validation_accuracy=validation_accuracy,
                photo_score=photo_score,
                photo_loss=photo_loss,
                num_photos=photos.num_digits,
                learning_rate=float(keras.ops.convert_to_numpy(model.optimizer.learning_rate)),
                seconds=time.perf_counter() - start,
                train_seconds=train_seconds,
                images_per_second=float(columns.batch_sizes().sum() / train_seconds),
            )
        )
        report(model.state(history))


def train_epoch(
    model: TrainableModel,
    tensors: tuple[tf.Tensor, tf.Tensor],
    columns: Columns,
    epoch: int,
    progress: Callable[[int, float], None],
) -> tuple[float, float]:
    """Train one epoch, counted from 0; returns mean loss and accuracy over the digits of all workers."""
    steps, batch_sizes = columns.steps_per_epoch, columns.batch_sizes()
    order = in_parts(columns.order(model.config.seed, epoch), model.parts)
    totals = tf.zeros(2, tf.float64)
    edges = np.linspace(0, steps, min(STRETCHES_PER_EPOCH, steps) + 1).astype(int)
    for first, last in pairwise(edges):
        stretch = slice(first, last)
        totals = model.train_stretch(
            *tensors, tf.constant(order[stretch]), tf.constant(batch_sizes[stretch], tf.float32), totals
        )
        progress(epoch + 1, float(last / steps))
    loss, correct = model.sum_over_workers(totals).numpy() / batch_sizes.sum()
    return float(loss), float(correct)


def on_device(digits: Digits) -> tuple[tf.Tensor, tf.Tensor]:
    """Digits as tensors, uint8 (N, 28, 28) and int32 (N,); where there are none, one row that no order names."""
    images, labels = digits
    if len(images) == 0:
        images, labels = np.zeros((1, *images.shape[1:]), np.uint8), np.zeros(1, np.int64)
    return tf.constant(images), tf.constant(labels.astype(np.int32))


def validation_order(num_digits: int) -> np.ndarray:
    """All rows in batches: int32 (batches, 500), padded with -1."""
    batches = -(-num_digits // VALIDATION_BATCH_SIZE)
    order = np.full(batches * VALIDATION_BATCH_SIZE, -1, np.int32)
    order[:num_digits] = np.arange(num_digits)
    return order.reshape(batches, VALIDATION_BATCH_SIZE)


class Scores:
    """Loss and accuracy of a network on the same digits after every epoch, spread over the workers.

    A label of -1 is never right: a photo in which no digit was found counts as an error, and has no loss. `digits` is
    called once, when they are first needed.
    """

    def __init__(self, model: TrainableModel, digits: Callable[[], Digits]) -> None:
        self.model, self.digits = model, digits

    @cached_property
    def held(self) -> tuple[tuple[tf.Tensor, tf.Tensor, tf.Tensor], np.ndarray]:
        """The digits and their order in memory; and, over all workers, how many have a loss, and how many there are."""
        images, labels = self.digits()
        counts = tf.constant([np.count_nonzero(labels >= 0), len(labels)], tf.float64)
        order = tf.constant(validation_order(len(labels)))
        return (*on_device((images, labels)), order), np.maximum(self.model.sum_over_workers(counts).numpy(), 1)

    @property
    def num_digits(self) -> int:
        """How many there are, over all workers."""
        return int(self.held[1][1])

    def mean(self) -> tuple[float, float]:
        """Mean loss and accuracy over the digits of all workers, each counted once."""
        tensors, counts = self.held
        totals = self.model.sum_over_workers(self.model.validate_local(*tensors)).numpy()
        loss, correct = totals / counts
        return float(loss), float(correct)
