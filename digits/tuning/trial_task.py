"""What a search's driver hands to each of its trials, and what a trial tells Ray Tune."""

from dataclasses import dataclass
from typing import Any

import ray

from digits.data.batches import Columns
from digits.storage import Storage
from digits.training.resources import Workers
from digits.training.state import EpochResult
from digits.tuning.searches import Search

TRIAL = "trial"
"""Key of a trial's configuration in Ray Tune; under it the number of the candidate, and what it varies."""


@dataclass(frozen=True, kw_only=True)
class TrialTask:
    """What all trials of a search share."""

    search: Search
    run_dir: Storage
    epochs: tuple[ray.ObjectRef, ...]
    """For each epoch, the training digits with their inverted copies: uint8 (N, 28, 28) and int64 (N,)."""
    columns: Columns
    """Which of them make up each batch."""
    validation: ray.ObjectRef
    """The validation digits with their inverted copies: uint8 (N, 28, 28) and int64 (N,)."""
    photo_digits: tuple[ray.ObjectRef, ...]
    """Parts of the prepared simulated photos, see `digits.training.score_photos`."""
    workers: Workers
    """Of a trial that is a training run."""


def report_of(epoch: EpochResult) -> dict[str, Any]:
    """What Ray Tune is told of an epoch."""
    figures = {name: value for name, value in epoch.to_dict().items() if value is not None}
    return {**figures, "score": epoch.score, "diverged": False}
