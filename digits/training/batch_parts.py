"""How a worker uses its cores or its GPU: into how many parts it divides each batch, and what TensorFlow may take.

What parts gain: docs/log.md, "Parts of a batch that stay in the cache".
"""

import os
import socket

import numpy as np
import ray
import tensorflow as tf

from digits.errors import MachineError
from digits.machine import usable_cores

SMALLEST_PART = 16
"""Fewest digits of a part that is made to keep a core busy; smaller ones are slower."""
LARGEST_PART = 32
"""A batch of twice as many digits is divided even on one core: larger activations do not stay in its cache."""


def parts_of(batch_size: int, cores: int) -> int:
    """Into how many parts a worker with so many cores divides its batch of so many digits; 1 on a GPU."""
    if tf.config.list_physical_devices("GPU"):
        return 1
    return max(1, min(cores, batch_size // SMALLEST_PART), batch_size // LARGEST_PART)


def take_share_of_node(local_world_size: int) -> int:
    """Take the GPUs that Ray gives to this worker, see `take_gpus`; returns how many of the cores each may use."""
    tf.get_logger().setLevel("ERROR")
    take_gpus()
    # What TensorFlow would take by itself, but for the quota of a container.
    tf.config.threading.set_inter_op_parallelism_threads(usable_cores())
    return max(1, usable_cores() // local_world_size)


def prepare_tensorflow(local_world_size: int, batch_size: int) -> int:
    """Share this node among its workers; returns among how many cores `loop.fit` is to divide a batch of `batch_size`.

    Cores that are left over work inside single operations.
    """
    cores = take_share_of_node(local_world_size)
    busy = min(cores, parts_of(batch_size, cores))
    tf.config.threading.set_intra_op_parallelism_threads(cores // busy)
    return busy


def take_gpus() -> int:
    """Let TensorFlow take the memory of this process's GPUs only as it needs it; returns how many there are.

    MachineError where Ray reserved GPUs for this process and TensorFlow sees none: it would compute on the processor
    instead, many times slower, and say nothing.
    """
    seen = tf.config.list_physical_devices("GPU")
    reserved = ray.get_gpu_ids() if ray.is_initialized() else []
    if reserved and not seen:
        host, visible = socket.gethostname(), os.environ.get("CUDA_VISIBLE_DEVICES", "")
        built = "CUDA" if tf.test.is_built_with_cuda() else "no CUDA"
        raise MachineError(
            f"TensorFlow {tf.__version__}, built with {built}, sees no GPU on {host}, where Ray reserved GPU "
            f"{', '.join(map(str, reserved))} for this worker (CUDA_VISIBLE_DEVICES={visible})",
            "a GPU for each worker of a cluster that counts GPUs: its driver, and the CUDA libraries",
            f"on {host}, let `nvidia-smi` list the GPU, or install NVIDIA's driver; then pip install "
            f"'tensorflow[and-cuda]=={tf.__version__}'; to train on processors, start Ray there with --num-gpus 0",
        )
    for gpu in seen:
        tf.config.experimental.set_memory_growth(gpu, True)
    return len(seen)


def in_parts(order: np.ndarray, parts: int) -> np.ndarray:
    """An order, int32 (steps, width), padded with -1 to a width that is a multiple of `parts`."""
    return np.pad(order, ((0, 0), (0, -order.shape[1] % parts)), constant_values=-1)
