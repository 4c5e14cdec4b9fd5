"""The training loop of the page network: one worker's share of each batch, under any distribution strategy.

Knows no Ray. The loss is CenterNet's (Zhou et al., 2019): focal for centres, absolute for boxes, cross-entropy for
digits. Beside the weights their running mean is kept (Polyak and Juditsky, 1992), which is what is exported.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from digits.models.page_network import build_page_network
from digits.models.page_targets import DIGITS, NO_DIGIT, SIZES, TURNS, PageArchitecture
from digits.training.reader.run import PageEpoch, PageState, PageTraining
from digits.training.state import require_finite

AVERAGED = 0.996
"""Fraction of the running mean of the weights that stays at each step, but for the first steps."""
LARGEST_GRADIENT = 5.0
"""Norm to which gradients are clipped."""
WEIGHT_DECAY = 1e-4
STEPS_TOLD = 10
"""How many times an epoch reports its progress."""

Batch = dict[str, np.ndarray]
"""maps uint8 (B, S, S, 2), centres float16 (B, G, G, 4), boxes float16 (B, G, G, 4), digits uint8 (B, G, G)."""


@dataclass(kw_only=True, eq=False)
class PageNetwork:
    """Network, optimizer and the running mean of the weights, built under a strategy."""

    architecture: PageArchitecture
    config: PageTraining
    strategy: tf.distribute.Strategy

    def __post_init__(self) -> None:
        keras.backend.clear_session()
        keras.utils.set_random_seed(self.config.seed)
        with self.strategy.scope():
            self.model = build_page_network(self.architecture)
            self.optimizer = keras.optimizers.AdamW(
                self.config.learning_rate, weight_decay=WEIGHT_DECAY, beta_2=0.99, global_clipnorm=LARGEST_GRADIENT
            )
            self.optimizer.build(self.model.trainable_variables)
        self.mean = {path: tf.Variable(array, trainable=False) for path, array in self.weights().items()}

    def restore(self, state: PageState) -> None:
        """Go on from where an epoch ended."""
        for variable in self.model.weights:
            variable.assign(state.weights[variable.path])
        for variable, array in zip(self.optimizer.variables, state.optimizer, strict=True):
            variable.assign(array)
        for path, variable in self.mean.items():
            variable.assign(state.mean[path])

    def weights(self) -> dict[str, np.ndarray]:
        """Copies of the present weights by their paths in the model, such as stem_conv/kernel."""
        return {variable.path: keras.ops.convert_to_numpy(variable).copy() for variable in self.model.weights}

    def state(self, history: tuple[PageEpoch, ...]) -> PageState:
        """Copies of all that training goes on from."""
        return PageState(
            weights=self.weights(),
            mean={path: variable.numpy().copy() for path, variable in self.mean.items()},
            optimizer=[keras.ops.convert_to_numpy(variable) for variable in self.optimizer.variables],
            history=history,
        )

    def average(self, step: int) -> None:
        """Add the present weights to their running mean, after `step` steps."""
        self._average(tf.constant(1 - min(AVERAGED, step / (step + 50)), tf.float32))

    @tf.function
    def _average(self, share: Any) -> None:
        # Compiled: read one by one, variables took a third of the time, waiting for the interpreter.
        for weights in self.model.weights:
            mean = self.mean[weights.path]
            mean.assign_add(share * (tf.convert_to_tensor(weights.value) - mean))

    @tf.function
    def step(self, step: Any, maps: Any, centres: Any, boxes: Any, digits: Any) -> Any:
        """One optimizer step: float32 (4,): losses of centres, boxes and digits, fraction of digits that are right.

        `step`, int64 (), counts the steps before it.
        """
        results = self.strategy.run(self._step, args=(step, maps, centres, boxes, digits))
        return self.strategy.reduce(tf.distribute.ReduceOp.MEAN, results, axis=None)

    def _step(self, step: Any, maps: Any, centres: Any, boxes: Any, digits: Any) -> Any:
        maps = self._varied(tf.cast(maps, tf.float32), step)
        with tf.GradientTape() as tape:
            answer = self.model(maps, training=True)
            losses = compute_losses(answer, tf.cast(centres, tf.float32), tf.cast(boxes, tf.float32), digits)
            loss = losses[0] + 0.7 * losses[1] + losses[2]
            # Keras' optimizer sums gradients over workers, so each worker gives its share of the mean.
            share = loss / self.strategy.num_replicas_in_sync
        gradients = tape.gradient(share, self.model.trainable_variables)
        self.optimizer.apply(gradients, self.model.trainable_variables)
        return losses

    def _varied(self, maps: Any, step: Any) -> Any:
        """Maps a little stronger or weaker, some with grain, as sheets of paper differ.

        What is drawn follows from seed, step and worker, so that a resumed run draws what an uninterrupted one does.
        """
        worker = tf.distribute.get_replica_context().replica_id_in_sync_group
        number = step * self.strategy.num_replicas_in_sync + tf.cast(worker, tf.int64)
        strength, grainy, amount, grain = tf.unstack(
            tf.random.experimental.stateless_split(tf.stack([tf.constant(self.config.seed, tf.int64), number]), 4)
        )
        shape = (tf.shape(maps)[0], 1, 1, 1)
        maps *= tf.exp(tf.random.stateless_uniform(shape, strength, -0.6, 0.25))
        some = tf.cast(tf.random.stateless_uniform(shape, grainy) < 0.3, tf.float32)
        deviation = some * tf.random.stateless_uniform(shape, amount, 0, 6)
        return tf.clip_by_value(maps + deviation * tf.random.stateless_normal(tf.shape(maps), grain), 0, 255)


def compute_losses(answer: Any, centres: Any, boxes: Any, digits: Any) -> Any:
    """float32 (4,): focal loss of centres, absolute loss of boxes, cross-entropy of digits, fraction that is right."""
    probability = tf.clip_by_value(tf.sigmoid(answer[..., TURNS]), 1e-4, 1 - 1e-4)
    present = tf.cast(centres >= 0.9995, tf.float32)
    absent = tf.cast((centres >= 0) & (centres < 0.9995), tf.float32)
    count = tf.reduce_sum(present) + 1
    missed = present * (1 - probability) ** 2 * tf.math.log(probability)
    invented = absent * (1 - tf.maximum(centres, 0)) ** 4 * probability**2 * tf.math.log(1 - probability)
    centre_loss = -tf.reduce_sum(missed + invented) / count

    strength = tf.reduce_max(centres, -1)
    near = tf.where(digits < NO_DIGIT, tf.maximum(strength, 0.2), 0.0)
    difference = tf.abs(answer[..., SIZES] - boxes) * (1.0, 1.0, 0.3, 0.3)
    box_loss = tf.reduce_sum(near[..., None] * difference) / (tf.reduce_sum(near) + 1)
    # On pages that lie turned only boxes are learned: digits are read once the page is upright.
    upright = tf.where(digits < NO_DIGIT, tf.where(centres[..., 0] > 0, near, 0.0), 0.0)
    labels = tf.minimum(tf.cast(digits, tf.int32), 9)
    wanted = tf.one_hot(labels, 10) * 0.96 + 0.004
    entropy = tf.nn.softmax_cross_entropy_with_logits(wanted, answer[..., DIGITS])
    digit_loss = tf.reduce_sum(upright * entropy) / (tf.reduce_sum(upright) + 1)
    right = tf.cast(tf.argmax(answer[..., DIGITS], -1, tf.int32) == labels, tf.float32)
    accuracy = tf.reduce_sum(present[..., 0] * right) / (tf.reduce_sum(present[..., 0]) + 1e-6)
    return tf.stack([centre_loss, box_loss, digit_loss, accuracy])


def fit(
    architecture: PageArchitecture,
    config: PageTraining,
    batches: Iterator[Batch],
    *,
    strategy: tf.distribute.Strategy,
    resume: PageState | None,
    score: Callable[[PageState], dict[str, float] | None],
    report: Callable[[PageState], None],
    progress: Callable[[int, float], None] = lambda epoch, fraction: None,
) -> None:
    """Train to `config.epochs`; `report` gets the state after each epoch.

    `batches` gives this worker's parts from where `resume` ended. `score` judges a state on simulated pages, or
    returns None where that epoch is not judged. Raises Diverged at the first step whose losses are not finite.
    """
    network = PageNetwork(architecture=architecture, config=config, strategy=strategy)
    history = resume.history if resume else ()
    if resume:
        network.restore(resume)
    steps = config.steps_per_epoch
    for epoch in range(len(history), config.epochs):
        started, waited, sums = time.perf_counter(), 0.0, np.zeros(4)
        for index in range(steps):
            step = epoch * steps + index
            asked = time.perf_counter()
            batch = next(batches)
            waited += time.perf_counter() - asked
            network.optimizer.learning_rate.assign(config.learning_rate * config.schedule(step))
            parts = [tf.constant(batch[name]) for name in ("maps", "centres", "boxes", "digits")]
            results = network.step(tf.constant(step, tf.int64), *parts).numpy()
            require_finite(epoch + 1, *results)
            sums += results
            network.average(step + 1)
            if (index + 1) % max(1, steps // STEPS_TOLD) == 0:
                progress(epoch + 1, (index + 1) / steps)
        train_seconds = time.perf_counter() - started
        losses = (sums / steps).tolist()
        judged = score(network.state(history))
        result = PageEpoch(
            epoch=epoch + 1,
            centre_loss=losses[0],
            box_loss=losses[1],
            digit_loss=losses[2],
            digit_accuracy=losses[3],
            squares_per_second=steps * config.global_batch_size / train_seconds,
            waited_fraction=waited / train_seconds,
            seconds=time.perf_counter() - started,
            **(judged or {}),
        )
        history = (*history, result)
        report(network.state(history))
