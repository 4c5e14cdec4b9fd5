"""What a search's driver hands to each of its trials, and what a trial tells Ray Tune."""

from dataclasses import dataclass
from typing import Any

import ray

from digits.data.batches import Columns
from digits.images import Digits
from digits.storage import Storage
from digits.training.resources import Workers
from digits.training.state import EpochResult
from digits.tuning.budget import RankBy, score_of
from digits.tuning.searches import Search

TRIAL = "trial"
"""Key of a trial's configuration in Ray Tune; under it stand the candidate's number and hyper-parameters."""


@dataclass(frozen=True, kw_only=True)
class TrialTask:
    """What all trials of a search share."""

    search: Search
    run_dir: Storage
    epochs: dict[float, tuple[ray.ObjectRef[Digits], ...]]
    """Training digits of each epoch, by the strength of their distortion, with their inverted copies: uint8 (N, 28, 28)
    and int64 (N,)."""
    columns: Columns
    """Which of those digits make up each batch, but for its size, which is the trial's."""
    validation: ray.ObjectRef[Digits]
    """The validation digits with their inverted copies: uint8 (N, 28, 28) and int64 (N,)."""
    photo_digits: tuple[ray.ObjectRef[Digits], ...]
    """The prepared simulated photos, in pieces, see `digits.training.score_photos`."""
    workers: Workers
    """The workers of each trial, where trials are training runs."""


def report_of(epoch: EpochResult, rank_by: RankBy) -> dict[str, Any]:
    """What Ray Tune is told of an epoch."""
    return {**epoch.to_dict(), "score": score_of(epoch, rank_by), "diverged": False}
