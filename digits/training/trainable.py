"""A network that is being trained: its weights, its optimizer, and the compiled loops over digits in memory.

Whole stretches of an epoch run inside one compiled graph, which gathers each batch from digits that lie in memory as
uint8: feeding 28x28 digits one batch at a time costs more than the arithmetic.

On a CPU each step's batch is computed in parts, one or more for each core, whose gradients are added: single
operations on such small pictures are too short to be shared among cores.
How fast: docs/performance.md (jobs/benchmark.py --parts steps).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import keras
import numpy as np
import tensorflow as tf

from digits.config import IMAGE_SIZE, NUM_CLASSES, OUTLIER, Architecture, TrainingConfig
from digits.models.layers import forward
from digits.models.network import build_training_model
from digits.training.group.shared_sum import SharedSum
from digits.training.state import EpochResult, TrainingState

WARMUP_STEPS = 200
"""Steps over which a cosine schedule rises to its peak: large steps at the start can silence whole filters for good."""

MEMORY = (tf.TensorSpec([None, IMAGE_SIZE, IMAGE_SIZE], tf.uint8), tf.TensorSpec([None], tf.int32))
"""Digits in memory: images in one channel, and labels."""
ORDER = tf.TensorSpec([None, None], tf.int32)
"""Numbers of rows in memory, for each step and place in the batch; -1 is padding."""
TOTALS = tf.TensorSpec([2], tf.float64)
"""Sum of losses, and number of right answers."""


@dataclass(kw_only=True, eq=False)
class TrainableModel:
    """A model with its optimizer, built under a strategy, and the compiled loops over digits in memory."""

    architecture: Architecture
    config: TrainingConfig
    total_steps: int
    parts: int = 1
    """Parts of this worker's batch that are computed at the same time."""
    place: int = 0
    """Where this worker's digits begin in each global batch."""
    strategy: tf.distribute.Strategy = field(default_factory=tf.distribute.get_strategy)
    shared_sum: SharedSum | None = None
    """Adds what the workers of one node have, instead of the strategy, which is the default one then."""

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

    def largest_weights(self) -> list[float]:
        """The largest absolute weight of each layer's arrays; not finite where one of them is not.

        The loss may look finite then: oneDNN's ReLU makes 0 of what is not a number.
        """
        return [float(np.abs(keras.ops.convert_to_numpy(array)).max()) for array in self.model.trainable_variables]

    def restore(self, state: TrainingState) -> list[EpochResult]:
        """Take over weights and optimizer variables; returns the epochs that led to them."""
        for variable, array in zip(self.model.trainable_variables, state.weights.values(), strict=True):
            variable.assign(array)
        for variable, array in zip(self.optimizer.variables, state.optimizer.values(), strict=True):
            variable.assign(array)
        return list(state.history)

    def train_step(self, images: tf.Tensor, labels: tf.Tensor, present: tf.Tensor, batch_size: tf.Tensor) -> tf.Tensor:
        """One optimizer step on this worker's share of a global batch; returns float32 (loss sum, correct) of it."""
        batch = [tf.split(tensor, self.parts) for tensor in (images, labels, present)]
        width = tf.shape(labels)[0] // self.parts
        results, gradients = zip(
            *(
                self.compute_gradients(pixels, truth, here, batch_size, self.place + number * width)
                for number, (pixels, truth, here) in enumerate(zip(*batch, strict=True))
            ),
            strict=True,
        )
        sums = [tf.add_n(parts) for parts in zip(*gradients, strict=True)]
        # Under a strategy Keras' optimizer sums the gradients over all workers itself. A second sum here would multiply
        # them by the number of workers, which Adam hides but for its epsilon.
        sums = sums if self.shared_sum is None else added(sums, self.shared_sum)
        self.optimizer.apply(sums, self.model.trainable_variables)
        return tf.add_n(results)

    def compute_gradients(
        self, images: tf.Tensor, labels: tf.Tensor, present: tf.Tensor, batch_size: tf.Tensor, place: tf.Tensor
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """float32 (loss sum, correct) of some digits, and the gradients of their summed losses divided by `batch_size`.

        `place` is the first digit's place in the global batch.
        """
        with tf.GradientTape() as tape:
            logits = forward(self.model, images, self.optimizer.iterations.value, place)
            labels, logits = with_none(labels, logits) if self.config.knows_none else (labels, logits)
            losses = keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True) * present
            # Summed over all workers, this is the mean over the global batch, whose true size may be smaller.
            loss = tf.reduce_sum(losses) / batch_size
        gradients = tape.gradient(loss, self.model.trainable_variables)
        return tf.stack([tf.reduce_sum(losses), count_correct(labels, logits, present)]), gradients

    def validation_step(self, images: tf.Tensor, labels: tf.Tensor, present: tf.Tensor) -> tf.Tensor:
        """float32 (loss sum, correct) of one validation batch of this worker; a label of -1 has no loss."""
        logits = self.model(images, training=False)
        shown = present * tf.cast(labels >= 0, tf.float32)
        losses = keras.losses.sparse_categorical_crossentropy(tf.maximum(labels, 0), logits, from_logits=True) * shown
        return tf.stack([tf.reduce_sum(losses), count_correct(labels, logits, present)])

    @tf.function(input_signature=[*MEMORY, ORDER, tf.TensorSpec([None], tf.float32), TOTALS])
    def train_stretch(
        self, images: tf.Tensor, labels: tf.Tensor, order: tf.Tensor, batch_sizes: tf.Tensor, totals: tf.Tensor
    ) -> tf.Tensor:
        """Train on the rows `order`, int32 (steps, local batch); returns `totals`, float64 (2,), with sums added."""
        # One gather for the whole stretch: a gather in each step takes time that shows in a small network.
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
        if self.shared_sum is not None:
            (whole,) = added([totals], self.shared_sum)
            return whole
        per_worker = self.strategy.run(lambda: totals)
        return self.strategy.reduce(tf.distribute.ReduceOp.SUM, per_worker, axis=None)


def added(tensors: list[tf.Tensor], shared_sum: SharedSum) -> list[tf.Tensor]:
    """Sums of tensors of one dtype over the workers of this node."""
    flat = tf.concat([tf.reshape(tensor, [-1]) for tensor in tensors], 0)
    sizes = [int(np.prod(tensor.shape)) for tensor in tensors]
    whole = tf.numpy_function(shared_sum, [flat], flat.dtype)
    parts = tf.split(tf.ensure_shape(whole, [sum(sizes)]), sizes)
    return [tf.reshape(part, tensor.shape) for part, tensor in zip(parts, tensors, strict=True)]


def with_none(labels: tf.Tensor, logits: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Labels (N,), -1 for what is no digit, and logits (N, 10) of eleven classes, the last of which is none.

    Its logit is 0 whatever is shown, so the network gets no weights for it: it learns logits whose energy score, the
    logarithm of the sum of exp(logits), is the log-odds that a digit is there (see `digits.models.calibration`).
    """
    return tf.where(labels == OUTLIER, NUM_CLASSES, labels), tf.pad(logits, [[0, 0], [0, 1]])


def count_correct(labels: tf.Tensor, logits: tf.Tensor, present: tf.Tensor) -> tf.Tensor:
    """For how many of the rows that are present the most probable class is the label: float32 ()."""
    hits = tf.argmax(logits, axis=1, output_type=labels.dtype) == labels
    return tf.reduce_sum(tf.cast(hits, tf.float32) * present)


def gather_batch(images: tf.Tensor, labels: tf.Tensor, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """The rows, int32 (B,), of digits in memory: images uint8 (B, 28, 28, 1), labels int32 (B,), presence float32 (B,).

    Presence is 1.0 for a row and 0.0 for padding, which is -1. Rows of many batches, int32 (steps, B), give them all.
    """
    safe = tf.maximum(rows, 0)
    return tf.gather(images, safe)[..., None], tf.gather(labels, safe), tf.cast(rows >= 0, tf.float32)
