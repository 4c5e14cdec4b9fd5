"""What each worker of a check does: look for its GPU, train some steps, time a sum, and note all that in the folder."""

import hashlib
import io
import os
import socket
import statistics
import time
from dataclasses import replace
from typing import Any

import numpy as np
import ray
import ray.train
import tensorflow as tf

from digits.config import IMAGE_SIZE, NUM_CLASSES
from digits.data.batches import Columns
from digits.diagnostics.task import CheckTask
from digits.errors import MachineError
from digits.training import loop
from digits.training.batch_parts import prepare_tensorflow
from digits.training.state import TrainingState

SUMS = 20
"""Sums between workers in one call of a compiled graph."""
REPEATS = 7
"""Calls that are timed; the median counts."""


def check_worker(task: CheckTask) -> None:
    """Train `task.steps` steps on random digits, together with all other workers; MachineError without a GPU."""
    context = ray.train.get_context()
    rank, world_size = context.get_world_rank(), context.get_world_size()
    note: dict[str, Any] = {
        "rank": rank,
        "host": socket.gethostname(),
        "reserved": [str(gpu) for gpu in ray.get_gpu_ids()],
        "visible": os.environ.get("CUDA_VISIBLE_DEVICES"),
    }
    batch = task.recipe.training.global_batch_size
    try:
        cores = prepare_tensorflow(context.get_local_world_size(), batch // world_size)
    except MachineError as error:
        task.note(rank, {**note, "devices": [], "problem": str(error)})
        raise
    note |= {"devices": [name_of(gpu) for gpu in tf.config.list_physical_devices("GPU")], "problem": ""}
    task.note(rank, note)
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    state = train(task, rank, world_size, loop.Device(strategy=strategy, cores=cores))
    digest = hashlib.sha256(b"".join(array.tobytes() for array in state.weights.values())).hexdigest()
    if rank == 0:
        buffer = io.BytesIO()
        np.savez(buffer, *state.weights.values())
        task.write_weights(buffer.getvalue())
    # The first epoch compiles.
    note |= {"weights": digest, "images_per_second": state.history[-1].images_per_second}
    note["sum_ms"] = sum_ms(strategy, task.recipe.architecture.num_parameters())
    task.note(rank, note)


def name_of(gpu: tf.config.PhysicalDevice) -> str:
    """What a GPU is called, such as NVIDIA A10G."""
    return str(tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name))


def train(task: CheckTask, rank: int, world_size: int, device: loop.Device) -> TrainingState:
    """The state after two epochs of half the steps each, on digits that are the same for any number of workers."""
    training = replace(task.recipe.training, epochs=2, seed=0, distort=False)
    count = training.global_batch_size * (task.steps // 2)
    columns = Columns.of(count, training.global_batch_size, inverted_copies=False).of_worker(rank, world_size)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, IMAGE_SIZE, IMAGE_SIZE), np.uint8)
    labels = rng.integers(0, NUM_CLASSES, count)
    mine = slice(columns.owned_groups.start, columns.owned_groups.stop)
    own, few = (images[mine], labels[mine]), (images[:1], labels[:1])
    states: list[TrainingState] = []
    loop.fit(
        replace(task.recipe, training=training),
        columns,
        loop.WorkerDigits(epochs=[own, own], validation=few, photos=lambda: few),
        report=states.append,
        device=device,
    )
    return states[-1]


def sum_ms(strategy: tf.distribute.Strategy, size: int) -> float:
    """Milliseconds of one sum of `size` float32 over all workers, as each training step has one of its gradients."""

    def many(part: tf.Tensor) -> tf.Tensor:
        for _ in tf.range(SUMS):
            here = strategy.run(lambda value: value, args=(part,))
            part = strategy.reduce(tf.distribute.ReduceOp.MEAN, here, axis=None)  # the sum, but for a factor
        return part

    compiled, part = tf.function(many), tf.ones(size)
    compiled(part).numpy()
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        compiled(part).numpy()
        seconds.append((time.perf_counter() - start) / SUMS)
    return 1e3 * statistics.median(seconds)
