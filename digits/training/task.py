"""What a training run's driver hands to each of its workers."""

from dataclasses import dataclass

import numpy as np
import ray
from ray.util.queue import Queue

from digits.data.files import DigitFiles
from digits.storage import Storage
from digits.training.runs import Run


@dataclass(frozen=True, kw_only=True)
class Task:
    """What every worker of a run gets."""

    run: Run
    run_dir: Storage
    files: DigitFiles
    validates: np.ndarray
    """Which originals validate: bool (num_digits,)."""
    photo_digits: tuple[ray.ObjectRef, ...]
    """Parts of the prepared simulated photos: uint8 (n, 28, 28) and labels int64 (n,)."""
    events: Queue
    """What the driver is told: dictionaries with the key event (see `train`)."""
