"""The training loop: fits one network on one worker's digits, under any TensorFlow distribution strategy.

Knows no Ray: Ray Train's workers and Ray Tune's trials both call `fit`. Keras 3's own `fit` does not run under
MultiWorkerMirroredStrategy. Whole stretches of an epoch run inside one compiled graph, which gathers each batch from
digits that lie in memory as uint8: feeding 28x28 digits one batch at a time costs more than the arithmetic.

On a CPU each step's batch is computed in parts, one or more for each core, whose gradients are added: operations on
such small pictures are too short to be shared well among cores one by one.
How fast: docs/performance.md (jobs/benchmark.py --parts steps).
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise

import keras
import numpy as np
import tensorflow as tf

from digits.config import IMAGE_SIZE, Architecture, TrainingConfig
from digits.data.batches import Columns
from digits.images import Digits
from digits.models.layers import forward
from digits.models.network import build_training_model
from digits.training.batch_parts import in_parts, parts_of
from digits.training.state import EpochResult, TrainingState

STRETCHES_PER_EPOCH = 20
"""Calls of the compiled graph in one epoch: how often progress is told."""
WARMUP_STEPS = 200
"""Steps over which a cosine schedule rises to its peak: at once, large steps can silence whole filters for good."""
VALIDATION_BATCH_SIZE = 500
"""Digits in one validation batch of a worker: fast on two cores, small on a GPU."""

MEMORY = (tf.TensorSpec([None, IMAGE_SIZE, IMAGE_SIZE], tf.uint8), tf.TensorSpec([None], tf.int32))
"""Digits in memory: images in one channel, and labels."""
ORDER = tf.TensorSpec([None, None], tf.int32)
"""Rows in memory for each step and place in the batch; -1 is padding."""
TOTALS = tf.TensorSpec([2], tf.float64)
"""Sum of losses, and number of right answers."""


@dataclass(kw_only=True, eq=False)
class Network:
    """A model with its optimizer, built under a strategy, and the compiled loops over digits in memory."""

    architecture: Architecture
    config: TrainingConfig
    total_steps: int
    parts: int = 1
    """Parts of this worker's batch that are computed at the same time."""
    place: int = 0
    """Place of this worker's first digit in each global batch."""
    strategy: tf.distribute.Strategy = field(default_factory=tf.distribute.get_strategy)

    def __post_init__(self) -> None:
        keras.backend.clear_session()
        keras.utils.set_random_seed(self.config.seed)
        with self.strategy.scope():
            self.model = build_training_model(self.architecture, self.config.seed)
            rate = self.config.learning_rate
            if self.config.learning_rate_schedule == "cosine":
                warmup = min(WARMUP_STEPS, self.total_steps // 10)
                rate = keras.optimizers.schedules.CosineDecay(
                    0.0, self.total_steps - warmup, warmup_target=rate, warmup_steps=warmup
                )
            self.optimizer = keras.optimizers.Adam(rate)
            self.optimizer.build(self.model.trainable_variables)

    def state(self, history: Iterable[EpochResult]) -> TrainingState:
        """Copies of all weights and of the optimizer's variables."""
        names = self.architecture.weight_shapes()
        return TrainingState(
            weights={
                name: keras.ops.convert_to_numpy(variable)
                for name, variable in zip(names, self.model.trainable_variables, strict=True)
            },
            optimizer={
                f"{place:03d}": keras.ops.convert_to_numpy(variable)
                for place, variable in enumerate(self.optimizer.variables)
            },
            history=tuple(history),
        )

    def restore(self, state: TrainingState) -> None:
        """Take over weights and optimizer variables."""
        for variable, array in zip(self.model.trainable_variables, state.weights.values(), strict=True):
            variable.assign(array)
        for variable, array in zip(self.optimizer.variables, state.optimizer.values(), strict=True):
            variable.assign(array)

    def train_step(self, images: tf.Tensor, labels: tf.Tensor, present: tf.Tensor, batch_size: tf.Tensor) -> tf.Tensor:
        """One optimizer step on this worker's part of a global batch; returns float32 (loss sum, correct) of it."""
        batch = [tf.split(tensor, self.parts) for tensor in (images, labels, present)]
        width = tf.shape(labels)[0] // self.parts
        results, gradients = zip(
            *(
                self.gradients_of(*part, batch_size, self.place + number * width)
                for number, part in enumerate(zip(*batch, strict=True))
            ),
            strict=True,
        )
        # Keras' optimizer sums the gradients over all workers itself; an all-reduce here as well would scale them by
        # the number of workers, which Adam hides except for its epsilon.
        sums = [tf.add_n(parts) for parts in zip(*gradients, strict=True)]
        self.optimizer.apply(sums, self.model.trainable_variables)
        return tf.add_n(results)

    def gradients_of(
        self, images: tf.Tensor, labels: tf.Tensor, present: tf.Tensor, batch_size: tf.Tensor, place: tf.Tensor
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """float32 (loss sum, correct) of some digits, and the gradients of their losses' sum over `batch_size`.

        `place` is that of the first of them in the global batch.
        """
        with tf.GradientTape() as tape:
            probabilities = forward(self.model, images, self.optimizer.iterations.value, place)
            losses = keras.losses.sparse_categorical_crossentropy(labels, probabilities) * present
            # The sum over all workers of sums divided by the global batch's true size is the mean over that batch.
            loss = tf.reduce_sum(losses) / batch_size
        gradients = tape.gradient(loss, self.model.trainable_variables)
        return tf.stack([tf.reduce_sum(losses), count_correct(labels, probabilities, present)]), gradients

    def validation_step(self, images: tf.Tensor, labels: tf.Tensor, present: tf.Tensor) -> tf.Tensor:
        """float32 (loss sum, correct) of one validation batch of this worker."""
        probabilities = self.model(images, training=False)
        losses = keras.losses.sparse_categorical_crossentropy(tf.maximum(labels, 0), probabilities) * present
        return tf.stack([tf.reduce_sum(losses), count_correct(labels, probabilities, present)])

    @tf.function(input_signature=[*MEMORY, ORDER, tf.TensorSpec([None], tf.float32), TOTALS])
    def train_stretch(
        self, images: tf.Tensor, labels: tf.Tensor, order: tf.Tensor, batch_sizes: tf.Tensor, totals: tf.Tensor
    ) -> tf.Tensor:
        """Train on the rows `order`, int32 (steps, local batch); adds this worker's sums to `totals`, float64 (2,)."""
        # One gather for the whole stretch: a gather in each step costs processor time that shows in the small network.
        stretch = gather_batch(images, labels, order)
        for step in tf.range(tf.shape(order)[0]):
            batch = [part[step] for part in stretch]
            result = self.strategy.run(self.train_step, args=(*batch, batch_sizes[step]))
            totals += tf.cast(self.strategy.experimental_local_results(result)[0], tf.float64)
        return totals

    @tf.function(input_signature=[*MEMORY, ORDER])
    def validate_local(self, images: tf.Tensor, labels: tf.Tensor, order: tf.Tensor) -> tf.Tensor:
        """Sums over this worker's validation digits: float64 (loss sum, correct)."""
        totals = tf.zeros(2, tf.float64)
        for step in tf.range(tf.shape(order)[0]):
            batch = gather_batch(images, labels, order[step])
            totals += tf.cast(self.validation_step(*batch), tf.float64)
        return totals

    @tf.function
    def sum_over_workers(self, totals: tf.Tensor) -> tf.Tensor:
        """The sum of a tensor over all workers."""
        per_worker = self.strategy.run(lambda: totals)
        return self.strategy.reduce(tf.distribute.ReduceOp.SUM, per_worker, axis=None)


def count_correct(labels: tf.Tensor, probabilities: tf.Tensor, present: tf.Tensor) -> tf.Tensor:
    """How many rows that are present have their label as the most probable digit: float32 ()."""
    hits = tf.argmax(probabilities, axis=1, output_type=labels.dtype) == labels
    return tf.reduce_sum(tf.cast(hits, tf.float32) * present)


def gather_batch(images: tf.Tensor, labels: tf.Tensor, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Rows of digits in memory as a batch: uint8 (B, 28, 28, 1), int32 (B,), and what is present.

    The last is 1.0 for a row and 0.0 for padding, float32 (B,); a row of -1 is padding. Rows of many batches,
    int32 (steps, B), give all of them at once.
    """
    present = tf.maximum(rows, 0)
    return tf.gather(images, present)[..., None], tf.gather(labels, present), tf.cast(rows >= 0, tf.float32)


def on_device(digits: Digits) -> tuple[tf.Tensor, tf.Tensor]:
    """Digits as tensors, uint8 (N, 28, 28) and int32 (N,); an empty part gets one row that no order names."""
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


def fit(
    architecture: Architecture,
    config: TrainingConfig,
    columns: Columns,
    epochs: Iterable[Digits],
    validation: Digits,
    *,
    report: Callable[[TrainingState], None],
    strategy: tf.distribute.Strategy | None = None,
    resume: TrainingState | None = None,
    progress: Callable[[int, float], None] = lambda epoch, fraction: None,
    photo_digits: Callable[[], Digits] | None = None,
    cores: int = 1,
) -> None:
    """Train one network for `config.epochs` epochs; `report` gets the state that each one leaves.

    Args:
        architecture: the network.
        config: how it is trained.
        columns: which part of each global batch this worker trains on.
        epochs: this worker's training digits for each epoch still to train, in the order of `columns`.
        validation: this worker's part of the validation digits; all parts together are counted exactly once.
        report: called on every worker after each epoch.
        strategy: MultiWorkerMirroredStrategy for several workers; the default runs alone.
        resume: where an earlier run ended; its epochs are not repeated.
        progress: told the epoch (from 1) and the fraction of it that is trained.
        photo_digits: returns this worker's part of the simulated photos that give the photo score; called when the
            first epoch is trained, so that they may be made meanwhile.
        cores: among how many cores each batch is divided.
    """
    strategy = strategy or tf.distribute.get_strategy()
    steps = columns.steps_per_epoch
    network = Network(
        architecture=architecture,
        config=config,
        total_steps=steps * config.epochs,
        parts=parts_of(len(columns.owned), cores),
        place=columns.owned.start,
        strategy=strategy,
    )
    history = list(resume.history) if resume else []
    if resume:
        network.restore(resume)
    batch_sizes = columns.batch_sizes()
    held_out = Scores(network, validation)
    photos, tensors, source = None, None, None
    for epoch, digits in zip(range(len(history), config.epochs), epochs, strict=True):
        start = time.perf_counter()
        if digits is not source:
            tensors, source = on_device(digits), digits
        order = in_parts(columns.order(config.seed, epoch), network.parts)
        totals = tf.zeros(2, tf.float64)
        edges = np.linspace(0, steps, min(STRETCHES_PER_EPOCH, steps) + 1).astype(int)
        for first, last in pairwise(edges):
            stretch = slice(first, last)
            totals = network.train_stretch(
                *tensors,
                tf.constant(order[stretch]),
                tf.constant(batch_sizes[stretch], tf.float32),
                totals,
            )
            progress(epoch + 1, float(last / steps))
        loss, correct = network.sum_over_workers(totals).numpy() / batch_sizes.sum()
        train_seconds = time.perf_counter() - start
        validation_loss, validation_accuracy = held_out.mean()
        if photo_digits and not photos:
            photos = Scores(network, photo_digits())
        history.append(
            EpochResult(
                epoch=epoch + 1,
                train_loss=float(loss),
                train_accuracy=float(correct),
                validation_loss=validation_loss,
                validation_accuracy=validation_accuracy,
                photo_score=photos.mean()[1] if photos else None,
                learning_rate=float(keras.ops.convert_to_numpy(network.optimizer.learning_rate)),
                seconds=time.perf_counter() - start,
                train_seconds=train_seconds,
                images_per_second=float(batch_sizes.sum() / train_seconds),
            )
        )
        report(network.state(history))


class Scores:
    """Loss and accuracy of a network on digits that stay the same, spread over the workers.

    A label of -1 is never hit: a photo in which no digit was found counts as an error.
    """

    def __init__(self, network: Network, digits: Digits) -> None:
        self.network = network
        self.tensors = on_device(digits)
        self.order = tf.constant(validation_order(len(digits[0])))
        self.num_digits = float(network.sum_over_workers(tf.constant(len(digits[0]), tf.float64)))

    def mean(self) -> tuple[float, float]:
        """Mean loss and accuracy over the digits of all workers, each counted once."""
        totals = self.network.sum_over_workers(self.network.validate_local(*self.tensors, self.order)).numpy()
        loss, correct = totals / self.num_digits
        return float(loss), float(correct)
