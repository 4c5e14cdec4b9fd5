"""Which digits make up each global batch: the same ones for any number of workers.

The training rows are cut into as many contiguous columns as a global batch has digits; every epoch shuffles each
column by itself, and batch k is the k-th digit of every column. A worker owns some of the columns, so it holds only
its share of the data, and yet one worker and many see the same batches. If the data is sorted, batches are stratified.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The columns of one worker: `num_groups` groups of rows in `global_batch_size` columns.

    A group is what must stay together: a digit and its inverted copy (`group_size` 2), or a digit alone (1).
    """

    num_groups: int
    group_size: int
    global_batch_size: int
    rank: int = 0
    world_size: int = 1

    @classmethod
    def of(cls, num_originals: int, global_batch_size: int, *, inverted_copies: bool) -> Self:
        """All columns for so many training digits, which stay together with their inverted copies."""
        group_size = 2 if inverted_copies else 1
        return cls(num_groups=num_originals, group_size=group_size, global_batch_size=global_batch_size)

    def of_worker(self, rank: int, world_size: int) -> Self:
        """The same columns as one of several workers owns them."""
        return replace(self, rank=rank, world_size=world_size)

    @property
    def owned(self) -> range:
        """Numbers of this worker's columns."""
        width, size = self.global_batch_size, self.world_size
        return range(width * self.rank // size, width * (self.rank + 1) // size)

    def groups(self, column: int) -> range:
        """Groups of one column, numbered over all training data."""
        width = self.global_batch_size
        return range(self.num_groups * column // width, self.num_groups * (column + 1) // width)

    @property
    def owned_groups(self) -> range:
        """Groups of this worker, numbered over all training data: contiguous, possibly none."""
        owned = self.owned
        if not owned:
            return range(0)
        return range(self.groups(owned[0]).start, self.groups(owned[-1]).stop)

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps in one epoch; in the last ones some columns may have no digit left."""
        return -(-self.num_groups // self.global_batch_size) * self.group_size

    def batch_sizes(self) -> np.ndarray:
        """Digits in each global batch, over all workers: int64 (steps_per_epoch,)."""
        heights = np.array([len(self.groups(c)) for c in range(self.global_batch_size)]) * self.group_size
        return (heights[:, None] > np.arange(self.steps_per_epoch)).sum(axis=0)

    def order(self, seed: int, epoch: int) -> np.ndarray:
        """This worker's rows for every step of an epoch: int32 (steps_per_epoch, owned columns), -1 where none is left.

        Rows are numbered within the worker's own share. A worker without columns gets one of -1, so that no batch is
        empty.
        """
        order = np.full((self.steps_per_epoch, max(len(self.owned), 1)), -1, np.int32)
        first = self.owned_groups.start
        for position, column in enumerate(self.owned):
            groups = self.groups(column)
            rows = np.arange((groups.start - first) * self.group_size, (groups.stop - first) * self.group_size)
            order[: len(rows), position] = np.random.default_rng((seed, epoch, column)).permutation(rows)
        return order


def rows_of_worker(total: int, rank: int, world_size: int) -> range:
    """A worker's share of `total` rows: shares are contiguous, cover all, and differ in size by one at most."""
    return range(total * rank // world_size, total * (rank + 1) // world_size)


def digits_of_worker(
    digits: tuple[np.ndarray, np.ndarray], rank: int, world_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """A worker's share of images (N, ...) and labels (N,), each of which belongs to one worker."""
    mine = rows_of_worker(len(digits[1]), rank, world_size)
    return digits[0][mine.start : mine.stop], digits[1][mine.start : mine.stop]
