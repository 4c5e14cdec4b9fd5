"""What a search spends, and what it ranks its trials by. Knows no Ray."""

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

from digits.errors import require
from digits.training.state import EpochResult

RankBy: TypeAlias = Literal["photo_loss", "photo_score"]


@dataclass(frozen=True, kw_only=True)
class TuningConfig:
    """What a search spends: how many networks it tries, and how much on each."""

    num_samples: int = 20
    """Networks that are tried, the best known one first; with --resume, how many the search shall have tried."""
    max_epochs: int = 12
    """Epochs of a trial that is not stopped early."""
    grace_epochs: int = 2
    """Epochs after which trials are first compared."""
    reduction_factor: int = 3
    """Each time that trials are compared, about one in this many goes on, for this many times as many epochs."""
    rank_by: RankBy = "photo_loss"
    """What trials are compared by: the cross-entropy on simulated photos, or how many of them are read."""
    train_images: int = 20_000
    """Training digits of a trial, not counting inverted copies (all, where there are fewer)."""
    validation_images: int = 2_500
    """Validation digits of a trial, not counting inverted copies (all, where there are fewer)."""
    workers_per_trial: int = 1
    """1: a trial is one process, with one core; more: a trial is a training run with this many workers."""
    gpus_per_trial: float | None = None
    """Fraction of a GPU for each one-process trial; left out, a quarter where there are GPUs."""
    search_seed: int = 0
    """Seed of the networks that are drawn, and of the training of all trials."""

    def __post_init__(self) -> None:
        counts = "num_samples", "max_epochs", "grace_epochs", "train_images", "validation_images", "workers_per_trial"
        for name in counts:
            value = getattr(self, name)
            flag = f"--{name.replace('_', '-')}"
            require(value >= 1, f"{name} = {value}", "a whole number of at least 1", f"give for instance {flag} 1")
        require(
            self.reduction_factor >= 2,
            f"reduction_factor = {self.reduction_factor}",
            "a whole number of at least 2",
            "use 3: one trial in three goes on",
        )
        require(
            self.gpus_per_trial is None or self.gpus_per_trial >= 0,
            f"gpus_per_trial = {self.gpus_per_trial}",
            "a fraction of a GPU such as 0.25, or a whole number",
            "leave it out, or use 0.25",
        )
        require(
            0 <= self.search_seed < 2**31,
            f"search seed = {self.search_seed}",
            "a whole number from 0 to 2147483647",
            "use for instance 0",
        )


def score_of(epoch: EpochResult, rank_by: RankBy) -> float:
    """What a trial is worth after an epoch, from 0 to 1, more being better.

    Ranked by photo_loss, that is exp(-loss): the geometric mean of the probabilities that the network gives to the
    right digits of the photos. Ranked by photo_score, the fraction of the photos that it reads.
    """
    if rank_by == "photo_score":
        return epoch.photo_score
    assert epoch.photo_loss is not None, "a trial that is ranked by its loss was trained by a version that measures it"
    return math.exp(-epoch.photo_loss)
