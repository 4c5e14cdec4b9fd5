"""A search: which networks are tried and how, what became of each, and what lies in its folder afterwards.

RUN/search.json                       what was asked for
RUN/trials/trial-03.json              how a trial ended; a trial without this file has not ended
RUN/trials/trial-03-seed0-epoch004/   the last checkpoint of a trial
RUN/tune/                             Ray Tune's own files, with the events for TensorBoard
"""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, Literal, Self

from digits.config import Architecture, DataConfig, Recipe, TrainingConfig
from digits.storage import Storage
from digits.training.runs import Network, Resumable
from digits.training.state import EpochResult
from digits.tuning.budget import RankBy, TuningConfig, score_of
from digits.tuning.candidate import HYPER_PARAMETERS, Candidate, shape_of
from digits.tuning.space import SearchSpace, draw_candidates

TRIALS, TUNE = "trials", "tune"
Status = Literal["finished", "stopped early", "diverged", "failed", "interrupted"]
ENDED: tuple[Status, ...] = ("finished", "stopped early")
FAILED: tuple[Status, ...] = ("diverged", "failed")
EARLIER_SPACE: dict[str, Any] = {
    "depths": (1,),
    "poolings": (2,),
    "learning_rate_schedule": (),
    "batch_size": (),
    "distortion": (),
    "max_multiplications": None,
    "start": ("improved", "baseline"),
    "near": 0.0,
}
"""The space of a search that was begun before these could be varied: it goes on as it was begun."""
EARLIER_TUNING: dict[str, Any] = {"grace_epochs": 1, "rank_by": "photo_score"}
"""Likewise, how it compares its trials."""


@dataclass(frozen=True, kw_only=True)
class Search(Resumable):
    """What one search tries, on which digits, and how its winner is trained."""

    FILE, KIND = "search.json", "search"

    space: SearchSpace
    tuning: TuningConfig
    training: TrainingConfig
    """How the winner is trained in full, but for what its candidate says; a trial has its own epochs and seed."""
    seeds: tuple[int, ...]
    """Seeds of the winner's training."""

    @cached_property
    def candidates(self) -> tuple[Candidate, ...]:
        """The networks that are tried, by number; without distortion none varies its strength."""
        space = self.space if self.training.distort else replace(self.space, distortion=())
        return draw_candidates(space, self.tuning.num_samples, self.tuning.search_seed)

    def network(self, number: int) -> Network:
        """The network of a trial, and how the trial trains it."""
        recipe = self.in_full(number)
        training = replace(recipe.training, epochs=self.tuning.max_epochs, seed=self.tuning.search_seed)
        return Network(architecture_name=trial_name(number), recipe=replace(recipe, training=training))

    def in_full(self, number: int) -> Recipe:
        """How the network of a trial is trained in full, if it is the best."""
        candidate = self.candidates[number]
        return Recipe(architecture=candidate.architecture, training=candidate.training(self.training))

    def of_length(self, num_samples: int) -> Self:
        """The same search with so many trials: the first ones are the same."""
        return replace(self, tuning=replace(self.tuning, num_samples=num_samples))

    def apart_from_length(self, asked: Self) -> Self:
        """What is asked for, of this search's length."""
        return asked.of_length(self.tuning.num_samples)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """A search from its JSON object, that of an earlier version included."""
        return cls(
            space=SearchSpace(**EARLIER_SPACE | values["space"]),
            tuning=TuningConfig(**EARLIER_TUNING | values["tuning"]),
            training=TrainingConfig(**values["training"]),
            seeds=tuple(values["seeds"]),
            data=DataConfig(**values["data"]),
            fingerprint=values["fingerprint"],
        )


def trial_name(number: int) -> str:
    """What people call a trial."""
    return f"trial-{number:02d}"


@dataclass(frozen=True, kw_only=True)
class TrialResult:
    """What became of one network that a search tried."""

    number: int
    candidate: Candidate
    status: Status
    history: tuple[EpochResult, ...]
    """Every epoch that ended with finite figures."""
    epochs_trained: int
    """One more than the history where the last epoch diverged."""
    reason: str = ""
    """Why a trial failed."""
    rank_by: RankBy

    @property
    def name(self) -> str:
        """What people call the trial."""
        return trial_name(self.number)

    @property
    def score(self) -> float | None:
        """What the trial is worth after its last epoch, see `score_of`; None for a trial that failed."""
        return None if self.status in FAILED or not self.history else score_of(self.history[-1], self.rank_by)

    def to_row(self) -> dict[str, Any]:
        """One row of trials.csv; what a trial does not have is None."""
        last = self.history[-1] if self.history else None
        return {
            "trial": self.name,
            "network": self.candidate.name,
            "status": self.status,
            "shape": shape_of(self.candidate.architecture),
            **dict.fromkeys(HYPER_PARAMETERS),
            **self.candidate.hyper_parameters(),
            "parameters": self.candidate.architecture.num_parameters(),
            "epochs": self.epochs_trained,
            "score": self.score,
            "photo_score": last.photo_score if last else None,
            "photo_loss": last.photo_loss if last else None,
            "validation_accuracy": last.validation_accuracy if last else None,
            "validation_loss": last.validation_loss if last else None,
            "train_loss": last.train_loss if last else None,
            "seconds": sum(epoch.seconds for epoch in self.history),
            "reason": self.reason,
        }


def write_trial(run_dir: Storage, trial: TrialResult) -> None:
    """Note how a trial ended, in one step: a trial whose note can be read is not repeated."""
    (run_dir / TRIALS / f"{trial.name}.json").write_bytes(json.dumps(asdict(trial), indent=1, allow_nan=False).encode())


def read_trials(run_dir: Storage) -> list[TrialResult]:
    """The trials of a search that ended, by number; one whose note cannot be read is left out, and repeated."""
    trials = []
    for name in (run_dir / TRIALS).files():
        try:
            values = json.loads((run_dir / TRIALS / name).read_bytes())
            architecture = Architecture.from_dict(values["candidate"].pop("architecture"))
            values["candidate"] = Candidate(architecture=architecture, **values["candidate"])
            values["history"] = tuple(EpochResult(**epoch) for epoch in values["history"])
            trials.append(TrialResult(**{"rank_by": EARLIER_TUNING["rank_by"], **values}))
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
    return sorted(trials, key=lambda trial: trial.number)


def ranked(trials: Sequence[TrialResult]) -> list[TrialResult]:
    """Trials with a score, the best first; of equals the one with fewer parameters."""
    scored = [trial for trial in trials if trial.score is not None]
    return sorted(scored, key=lambda trial: (-(trial.score or 0), trial.candidate.architecture.num_parameters()))


def epochs_without_early_stopping(trials: Sequence[TrialResult], max_epochs: int) -> int:
    """Epochs that the same trials would have cost without early stopping; those that failed would have failed too."""
    return sum(max_epochs if trial.status in ENDED else trial.epochs_trained for trial in trials)


def trials_csv(rows: Sequence[dict[str, Any]]) -> bytes:
    """Rows with equal keys as CSV."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue().encode()
