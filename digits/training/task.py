"""What a training run's driver hands to its workers, and who of them trains which network."""

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray.util.queue import Queue

from digits.data.split import Split
from digits.images import Digits
from digits.storage import Storage
from digits.training.runs import Network, Run


@dataclass(frozen=True, kw_only=True)
class TrainingTask:
    """What every worker of a group gets."""

    run: Run
    run_dir: Storage
    networks: Iterable[Network]
    """Those of the run that the group trains, one after another."""
    split: Split
    photo_digits: tuple[ray.ObjectRef[Digits], ...]
    """The prepared simulated photos, in pieces: uint8 (n, 28, 28) and labels int64 (n,)."""
    events: Queue
    """What the driver is told: dictionaries with the key event (see `digits.training.driver.train`)."""


class Turns:
    """The networks of a run, for groups that train side by side: each takes the next one when it is free.

    An actor of Ray. A group keeps what it has taken, whatever becomes of its workers.
    """

    def __init__(self, networks: Sequence[Network]) -> None:
        self.left = deque(networks)
        self.taken: dict[int, list[Network | None]] = defaultdict(list)

    def take(self, group: int, turn: int) -> Network | None:
        """The network of a group's turn, counted from 0; None when all are taken. Asked again, it answers the same."""
        taken = self.taken[group]
        if turn == len(taken):
            taken.append(self.left.popleft() if self.left else None)
        return taken[turn]

    def last_taken(self, group: int) -> Network | None:
        """The network that a group trains now; None before its first."""
        return next((network for network in reversed(self.taken[group]) if network), None)


@dataclass(frozen=True, kw_only=True)
class InTurn:
    """The networks of one of several groups."""

    turns: Any
    """The actor `Turns`."""
    group: int

    def __iter__(self) -> Iterator[Network]:
        turn = 0
        while (network := ray.get(self.turns.take.remote(self.group, turn))) is not None:
            yield network
            turn += 1

    def present(self) -> Network | None:
        """The one that is being trained."""
        return ray.get(self.turns.last_taken.remote(self.group))
