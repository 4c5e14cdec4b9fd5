"""What each epoch leaves: one line of figures, and the state from which training goes on."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


class Diverged(ArithmeticError):
    """Training whose loss is no longer a finite number: nothing is learned from then on."""

    def __init__(self, epoch: int) -> None:
        super().__init__(epoch)
        self.epoch = epoch
        """Counted from 1."""


def require_finite(epoch: int, *figures: float) -> None:
    """Raise Diverged unless the losses and weights of an epoch, counted from 1, are finite."""
    if not all(map(math.isfinite, figures)):
        raise Diverged(epoch)


@dataclass(frozen=True, kw_only=True)
class EpochResult:
    """One line of the history; losses are mean cross-entropies, accuracies fractions of 1."""

    epoch: int
    """Counted from 1."""
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    photo_score: float
    """Accuracy on simulated photos: what the best checkpoint is chosen by."""
    photo_loss: float | None = None
    """On the simulated photos in which a digit was found; None in an epoch of an earlier version."""
    num_photos: int | None = None
    """How many simulated photos there are; None in an epoch of an earlier version."""
    learning_rate: float
    """At the end of the epoch."""
    seconds: float
    """Training and validation of this epoch."""
    train_seconds: float
    """Training alone."""
    images_per_second: float
    """Training digits per second of training, over all workers."""

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class TrainingState:
    """Weights, optimizer and history after an epoch: what the next epoch, or a resumed run, starts from."""

    weights: dict[str, np.ndarray]
    """float32 arrays as `Architecture.weight_shapes()` names them."""
    optimizer: dict[str, np.ndarray]
    """The optimizer's variables, by their places in its list."""
    history: tuple[EpochResult, ...]
    """All epochs so far."""


def history_csv(records: Sequence[dict[str, Any]]) -> bytes:
    """All epochs of all networks, given their checkpoints' records, as CSV: architecture, seed, then EpochResult."""
    buffer = io.StringIO()
    rows = [
        {
            "architecture": record["architecture_name"],
            "seed": record["training"]["seed"],
            **EpochResult(**epoch).to_dict(),  # epochs of earlier versions lack some
        }
        for record in records
        for epoch in record["history"]
    ]
    writer = csv.DictWriter(buffer, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue().encode()
