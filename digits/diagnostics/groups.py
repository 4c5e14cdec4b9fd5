"""The same steps on one worker and on all of a cluster: what each worker found, how fast they are, how far apart."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import ray.train
from ray.train.v2.api.config import FailureConfig

from digits import interruptible
from digits.diagnostics.task import CheckTask
from digits.errors import MachineError
from digits.training.driver import cause_of, refuse_machine
from digits.training.group.tensorflow_cluster import worker_group
from digits.training.resources import Workers

TOLERANCE = 0.01
"""How far the weights of one worker and of all may be apart, as a fraction of their length: sums in another order."""
STARTS = 3
"""Attempts to start a group of workers, of half a minute each."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """One group of workers, and what came of it."""

    task: CheckTask
    notes: tuple[dict[str, Any], ...]
    """What each worker found, by rank."""
    problem: str = ""
    """Why it did not end its work."""

    @property
    def images_per_second(self) -> float | None:
        """Digits that the group trained on in a second, once its graph was compiled."""
        return self.notes[0].get("images_per_second") if self.notes else None

    @property
    def sum_ms(self) -> float | None:
        """Milliseconds of a sum of the network's gradients between the workers."""
        return self.notes[0].get("sum_ms") if self.notes else None


def check_group(task: CheckTask, workers: Workers) -> Group:
    """Let a group of workers do what `task` says; what fails is told in the answer."""
    group = worker_group(
        start_worker,
        {"task": task},
        workers,
        task.folder,
        callbacks=[],
        failures=FailureConfig(max_failures=0, controller_failure_limit=STARTS),
        spread=not workers.use_gpu,
    )
    problem = ""
    try:
        interruptible.call(group.fit)
    except ray.train.TrainingFailedError as error:
        problem = reason_of(error)
    return Group(task=task, notes=tuple(task.notes()), problem=problem)


def reason_of(error: ray.train.TrainingFailedError) -> str:
    """Why a group failed: in three parts where a machine lacks something, else in a line."""
    try:
        refuse_machine([error])
    except MachineError as refused:
        return str(refused)
    return cause_of(error)


def start_worker(config: dict[str, Any]) -> None:
    """What each Ray Train worker does."""
    from digits.diagnostics.worker import check_worker

    check_worker(config["task"])


def difference(one: Group, other: Group) -> float:
    """How far the weights of two groups are apart, as a fraction of the length of those of the first."""
    first, second = one.task.weights().astype(np.float64), other.task.weights().astype(np.float64)
    return float(np.linalg.norm(first - second) / np.linalg.norm(first))
