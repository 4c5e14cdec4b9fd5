"""Which digits make up each global batch: the same ones for any number of workers.

The training rows are cut into as many contiguous columns as a global batch has digits; every epoch shuffles each
column by itself, and batch k is the k-th digit of every column. A worker owns some of the columns, so it holds only
its share of the data, and yet one worker and many see the same batches. If the data is sorted, batches are stratified;
and where several sources are mixed, one after another, every batch has its share of each.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """Groups of rows, one after another, of which every epoch draws some, or all."""

    drawn: int
    held: int
    """At least as many."""


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The columns of one worker: `num_groups` groups of rows, in each epoch, in `global_batch_size` columns.

    A group is what must stay together: a digit and its inverted copy (`group_size` 2), or a digit alone (1).
    """

    num_groups: int
    group_size: int
    global_batch_size: int
    rank: int = 0
    world_size: int = 1
    stretches: tuple[Stretch, ...] = ()
    """Where the groups of an epoch are drawn from more: one stretch after another, `num_groups` in all."""

    @classmethod
    def of(cls, num_originals: int, global_batch_size: int, *, inverted_copies: bool) -> Self:
        """All columns for so many training digits, which stay together with their inverted copies."""
        group_size = 2 if inverted_copies else 1
        return cls(num_groups=num_originals, group_size=group_size, global_batch_size=global_batch_size)

    @classmethod
    def of_stretches(cls, stretches: tuple[Stretch, ...], global_batch_size: int, *, inverted_copies: bool) -> Self:
        """All columns for digits of which an epoch draws as the stretches say."""
        columns = cls.of(sum(each.drawn for each in stretches), global_batch_size, inverted_copies=inverted_copies)
        return replace(columns, stretches=stretches)

    def of_worker(self, rank: int, world_size: int) -> Self:
        """The same columns as one of several workers owns them."""
        return replace(self, rank=rank, world_size=world_size)

    @property
    def owned(self) -> range:
        """Numbers of this worker's columns."""
        width, size = self.global_batch_size, self.world_size
        return range(width * self.rank // size, width * (self.rank + 1) // size)

    def height(self, column: int) -> int:
        """Groups that an epoch draws for one column."""
        places = self._places(column)
        return places.stop - places.start

    def groups(self, column: int) -> range:
        """Groups that one column draws from, numbered over all training data."""
        places = self._places(column)
        return range(self._held_before(places.start), self._held_before(places.stop))

    def drawn(self, seed: int, epoch: int, column: int) -> np.ndarray:
        """The groups of one column in an epoch, ascending: of each stretch as many as are its places in the column."""
        groups, places = self.groups(column), self._places(column)
        if len(groups) == len(places):
            return np.arange(groups.start, groups.stop)
        rng = np.random.default_rng((seed, epoch, column, len(groups)))
        chosen, first = [], 0
        for stretch in self.stretches:
            start, stop = max(places.start, first), min(places.stop, first + stretch.drawn)
            first += stretch.drawn
            if start < stop:
                held = range(self._held_before(start), self._held_before(stop))
                chosen.append(held.start + np.sort(rng.choice(len(held), stop - start, replace=False)))
        return np.concatenate(chosen)

    def _places(self, column: int) -> range:
        """Where a column stands among the groups of an epoch."""
        width = self.global_batch_size
        return range(self.num_groups * column // width, self.num_groups * (column + 1) // width)

    def _held_before(self, place: int) -> int:
        """How many groups are those that the places before one draw from: each place has at least one of its own."""
        held = 0
        for stretch in self.stretches:
            if place <= stretch.drawn:
                return held + stretch.held * place // stretch.drawn
            held, place = held + stretch.held, place - stretch.drawn
        return held + place

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
        heights = np.array([self.height(c) for c in range(self.global_batch_size)]) * self.group_size
        return (heights[:, None] > np.arange(self.steps_per_epoch)).sum(axis=0)

    def order(self, seed: int, epoch: int) -> np.ndarray:
        """This worker's rows for every step of an epoch: int32 (steps_per_epoch, owned columns), -1 where none is left.

        Rows are numbered within the worker's own share. A worker without columns gets one of -1, so that no batch is
        empty.
        """
        order = np.full((self.steps_per_epoch, max(len(self.owned), 1)), -1, np.int32)
        first = self.owned_groups.start
        for position, column in enumerate(self.owned):
            groups = self.drawn(seed, epoch, column) - first
            rows = (groups[:, None] * self.group_size + np.arange(self.group_size)).ravel()
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
