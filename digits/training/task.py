"""What a training run's driver hands to each of its workers."""

from dataclasses import dataclass

import ray
from ray.util.queue import Queue

from digits.data.split import Split
from digits.images import Digits
from digits.storage import Storage
from digits.training.runs import Run


@dataclass(frozen=True, kw_only=True)
class TrainingTask:
    """What every worker of a run gets."""

    run: Run
    run_dir: Storage
    split: Split
    photo_digits: tuple[ray.ObjectRef[Digits], ...]
    """The prepared simulated photos, in pieces: uint8 (n, 28, 28) and labels int64 (n,)."""
    events: Queue
    """What the driver is told: dictionaries with the key event (see `digits.training.driver.train`)."""
