"""A model of scale: how long an epoch takes on 1 to 256 workers, given what one worker was measured to take.

Training is synchronous: in each step every worker computes on its share of the global batch, and then the gradients are
summed over all workers. So a step costs a fixed time, a time for each digit of the worker's share, and the sum.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from digits.config import Architecture
from digits.errors import require

BYTES_PER_PARAMETER = 4
"""Gradients are summed as float32."""
NUM_WORKERS = tuple(2**power for power in range(9))
"""1, 2, 4 ... 256."""


@dataclass(frozen=True, kw_only=True)
class WorkerSpeed:
    """How long a step takes one worker."""

    step_s: float
    """Seconds of every step, whatever the batch: starting kernels, the optimizer."""
    image_s: float
    """Seconds for each digit in the worker's share of the batch."""

    def compute_s(self, local_batch_size: float) -> float:
        """Seconds of a step until the gradients are summed."""
        return self.step_s + local_batch_size * self.image_s


@dataclass(frozen=True, kw_only=True)
class Link:
    """The network between two workers."""

    bytes_per_s: float
    latency_s: float
    """Seconds until the first byte of a message arrives."""


ETHERNET_10G = Link(bytes_per_s=1.25e9, latency_s=50e-6)
"""Between machines of a cloud: 10 Gbit/s, TCP."""


@dataclass(frozen=True, kw_only=True)
class Workload:
    """One network and the digits of an epoch."""

    images: int
    """Training digits of an epoch, with inverted copies."""
    gradient_bytes: int
    speed: WorkerSpeed


def gradient_bytes(architecture: Architecture) -> int:
    """Bytes that are summed over the workers in each step."""
    return BYTES_PER_PARAMETER * architecture.num_parameters()


def fit_speed(local_batch_sizes: Sequence[int], seconds: Sequence[float]) -> WorkerSpeed:
    """Fit a line to measured seconds of a step by least squares of relative errors; no coefficient is negative."""
    require(
        len(local_batch_sizes) == len(seconds) >= 2 and len(set(local_batch_sizes)) >= 2,
        f"{len(seconds)} steps measured with {len(set(local_batch_sizes))} batch sizes",
        "a time for each of at least two different batch sizes",
        "measure more batch sizes",
    )
    sizes, times = np.asarray(local_batch_sizes, float), np.asarray(seconds, float)
    candidates = []
    for columns in ([0, 1], [0], [1]):
        table = np.stack([np.ones_like(sizes), sizes], axis=1)[:, columns] / times[:, None]
        solution, *_ = np.linalg.lstsq(table, np.ones_like(times), rcond=None)
        if (solution >= 0).all():
            coefficients = np.zeros(2)
            coefficients[columns] = solution
            candidates.append((np.sum((table @ solution - 1) ** 2), coefficients))
    step_s, image_s = min(candidates, key=lambda candidate: candidate[0])[1]
    return WorkerSpeed(step_s=float(step_s), image_s=float(image_s))


def all_reduce_s(num_bytes: int, num_workers: int, link: Link) -> float:
    """Seconds to sum `num_bytes` over all workers: the better of a ring and a tree.

    A ring (Patarasuk and Yuan, 2009) moves 2 (n - 1) / n of the bytes over each link in 2 (n - 1) messages; a tree
    moves all bytes up and down in 2 log2(n) messages. For few bytes, where latency counts most, the tree is faster.
    """
    if num_workers == 1:
        return 0.0
    n, once = num_workers, num_bytes / link.bytes_per_s
    ring = 2 * (n - 1) / n * once + 2 * (n - 1) * link.latency_s
    levels = math.ceil(math.log2(n))
    tree = 2 * levels * (once + link.latency_s)
    return min(ring, tree)


def epoch_s(workload: Workload, num_workers: int, global_batch_size: int, link: Link) -> float:
    """Seconds of an epoch. Workers' shares are whole digits, and the largest share counts."""
    steps = math.ceil(workload.images / global_batch_size)
    local = math.ceil(global_batch_size / num_workers)
    step = workload.speed.compute_s(local) + all_reduce_s(workload.gradient_bytes, num_workers, link)
    return steps * step


def speed_up(workload: Workload, num_workers: int, global_batch_size: int, link: Link) -> float:
    """How many times shorter an epoch is than on one worker, for the same global batch."""
    return epoch_s(workload, 1, global_batch_size, link) / epoch_s(workload, num_workers, global_batch_size, link)


def stops_paying(workload: Workload, global_batch_size: int, link: Link, *, least_efficiency: float = 0.5) -> int:
    """The most workers (1, 2, 4 ... 256) of which each still does `least_efficiency` of the work of one alone."""
    return max(
        n for n in NUM_WORKERS if speed_up(workload, n, global_batch_size, link) / n >= least_efficiency or n == 1
    )
