"""Images per second of training steps alone: digits.training.loop.fit, or a raw compiled TensorFlow loop.

Both run batches of 32 with Adam on the same network. Arguments: fit or raw, folder of digits, network,
number of digits, epochs, threads. Prints the rate of each epoch after the first, which compiles.
"""

import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from digits.benchmarks.parquet import read_parquet
from digits.config import RECIPES, Architecture, Recipe
from digits.data.batches import Columns
from digits.images import Digits
from digits.models.network import build_model
from digits.training.loop import Device, WorkerDigits, fit

BATCH_SIZE = 32


def fit_rates(architecture: Architecture, digits: Digits, epochs: int, cores: int) -> list[float]:
    """This project's loop; TF_CONFIG says which worker this process is, as Ray Train does."""
    images, labels = digits
    task, world_size = 0, 1
    if "TF_CONFIG" in os.environ:
        config = json.loads(os.environ["TF_CONFIG"])
        task, world_size = config["task"]["index"], len(config["cluster"]["worker"])
    columns = Columns.of(len(labels), BATCH_SIZE, inverted_copies=False).of_worker(task, world_size)
    rows = slice(columns.owned_groups.start, columns.owned_groups.stop)
    mine, few = (images[rows], labels[rows]), (images[:100], labels[:100])
    rates: list[float] = []
    fit(
        Recipe(architecture=architecture, training=replace(RECIPES["baseline"].training, epochs=epochs)),
        columns,
        WorkerDigits(epochs=[mine] * epochs, validation=few, photos=lambda: few),
        report=lambda state: rates.append(state.history[-1].images_per_second),
        device=Device.of_worker(cores, task, world_size, world_size, architecture.num_parameters()),
    )
    return rates


def raw_rates(architecture: Architecture, digits: Digits, epochs: int) -> list[float]:
    """The least that training can be: a compiled loop that slices shuffled digits, nothing counted but the loss."""
    order = np.random.default_rng(0).permutation(len(digits[1]))
    images = tf.constant(np.repeat(digits[0][order][..., None], 3, axis=-1))
    labels = tf.constant(digits[1][order].astype(np.int32))
    keras.utils.set_random_seed(0)
    model = build_model(architecture)
    optimizer = keras.optimizers.Adam()
    optimizer.build(model.trainable_variables)

    @tf.function
    def train(images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        total = tf.zeros(())
        for start in tf.range(0, tf.shape(labels)[0], BATCH_SIZE):
            batch, truth = images[start : start + BATCH_SIZE], labels[start : start + BATCH_SIZE]
            with tf.GradientTape() as tape:
                probabilities = model(batch, training=True)
                loss = tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(truth, probabilities))
            optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
            total += loss
        return total

    rates = []
    for _ in range(epochs):
        start = time.perf_counter()
        train(images, labels).numpy()
        rates.append(len(order) / (time.perf_counter() - start))
    return rates


def main(side: str, folder: str, network: str, num_digits: int, epochs: int, threads: int) -> None:
    # fit divides each batch among the cores itself.
    tf.config.threading.set_intra_op_parallelism_threads(threads if side == "raw" else 1)
    images, labels = read_parquet(Path(folder))
    repeats = -(-num_digits // len(labels))
    digits = np.tile(images, (repeats, 1, 1))[:num_digits], np.tile(labels, repeats)[:num_digits]
    architecture = RECIPES[network].architecture
    if side == "raw":
        rates = raw_rates(architecture, digits, epochs)
    else:
        rates = fit_rates(architecture, digits, epochs, threads)
    print(json.dumps({"images_per_second": rates[1:]}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], *map(int, sys.argv[4:7]))
