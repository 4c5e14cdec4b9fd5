"""A run that trains the page network: what was asked for, and what lies in its folder afterwards.

RUN/run.json                 what was asked for
RUN/epoch-012/               state.npz and epoch.json: to go on from, and to export
RUN/reader/                  the finished reader: the best epoch's network as ONNX, with its record
"""

import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from digits.errors import CheckpointError, require
from digits.models.checkpoints import pack_arrays, unpack_arrays
from digits.storage import Storage
from digits.training.runs import Noted

STATE, EPOCH = "state.npz", "epoch.json"
WARMUP_STEPS = 100
"""Steps over which the learning rate rises."""


@dataclass(frozen=True, kw_only=True)
class PageTraining:
    """How the page network is trained. Equal settings give equal pages in equal order."""

    seed: int = 0
    epochs: int = 30
    squares_per_epoch: int = 4_000
    global_batch_size: int = 16
    """Squares in one step, over all workers together."""
    learning_rate: float = 3e-3
    """Of AdamW, at its highest."""
    falling: float = 0.35
    """Last fraction of the steps, over which the learning rate falls to a hundredth."""
    num_shapes: int = 24_000
    """Digits of MNIST, some replaced by other styles, whose shapes the pages are written with."""

    def __post_init__(self) -> None:
        for name in ("epochs", "squares_per_epoch", "global_batch_size", "num_shapes"):
            value = getattr(self, name)
            require(value >= 1, f"{name} = {value}", "at least 1", "leave it out to use the recommended number")
        require(
            self.squares_per_epoch >= self.global_batch_size,
            f"{self.squares_per_epoch} squares in an epoch, {self.global_batch_size} in a step",
            "at least one step in an epoch",
            "raise --squares-per-epoch",
        )
        rate = self.learning_rate
        require(0 < rate < 1, f"learning_rate = {rate}", "a number in (0, 1)", "use for instance 0.0025")

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps of an epoch; squares that do not fill a step are left out."""
        return self.squares_per_epoch // self.global_batch_size

    def schedule(self, step: int) -> float:
        """Learning rate at a step as a fraction of its highest: rising, level, falling (Hägele et al., 2024).

        While it is level, a run can go on with more epochs than it was begun with.
        """
        left = 1 - step / (self.epochs * self.steps_per_epoch)
        return min(1.0, (step + 1) / WARMUP_STEPS, max(0.01, left / self.falling))

    def is_judged(self, epoch: int) -> bool:
        """Whether an epoch, from 0, is judged on simulated pages: where the learning rate has fallen by half."""
        last_step = (epoch + 1) * self.steps_per_epoch
        return (1 - last_step / (self.epochs * self.steps_per_epoch)) / self.falling <= 0.5


@dataclass(frozen=True, kw_only=True)
class PageEpoch:
    """Figures of one epoch."""

    epoch: int
    centre_loss: float
    box_loss: float
    digit_loss: float
    digit_accuracy: float
    squares_per_second: float
    waited_fraction: float
    """Fraction of the training time in which the network waited for pages."""
    seconds: float
    error_rate: float | None = None
    """Of simulated pages (see `digits.evaluation.pages.score`): wrong, missed and invented digits over all digits."""
    answered: float | None = None
    """Fraction of the simulated pages without digits that were answered."""


@dataclass(frozen=True, kw_only=True)
class PageState:
    """What training goes on from."""

    weights: dict[str, np.ndarray]
    """float32 arrays by their paths in the network, such as stem_conv/kernel."""
    mean: dict[str, np.ndarray]
    """Running mean of the weights: what is judged and exported."""
    optimizer: list[np.ndarray]
    """The optimizer's variables in Keras' order."""
    history: tuple[PageEpoch, ...]


@dataclass(frozen=True, kw_only=True)
class PageRun(Noted):
    """What a run was asked for."""

    FILE, KIND = "run.json", "run"

    training: PageTraining
    architecture: dict[str, Any]

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """A run from its JSON object."""
        return cls(**{**values, "training": PageTraining(**values["training"])})


def epoch_name(epoch: int) -> str:
    """Folder of an epoch, counted from 1."""
    return f"epoch-{epoch:03d}"


def write_state(folder: Storage, state: PageState) -> None:
    """Write an epoch's folder; its JSON last, so that a folder with it is complete."""
    arrays = {f"optimizer:{place:03d}": array for place, array in enumerate(state.optimizer)}
    for kind in ("weights", "mean"):
        arrays |= {f"{kind}:{path.replace('/', '.')}": array for path, array in getattr(state, kind).items()}
    (folder / STATE).write_bytes(pack_arrays(arrays))
    (folder / EPOCH).write_bytes(json.dumps([asdict(epoch) for epoch in state.history], indent=1).encode())


def read_state(folder: Storage) -> PageState:
    """Read an epoch's folder; CheckpointError where it is damaged or not complete."""
    try:
        history = tuple(PageEpoch(**epoch) for epoch in json.loads((folder / EPOCH).read_bytes()))
        data = (folder / STATE).read_bytes()
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(f"{folder} cannot be read: {error}", "an epoch of a training run") from error
    arrays = unpack_arrays(data, str(folder / STATE))
    kinds: dict[str, dict[str, np.ndarray]] = {"weights": {}, "mean": {}, "optimizer": {}}
    for key in sorted(arrays):
        kind, _, path = key.partition(":")
        kinds[kind][path.replace(".", "/")] = arrays[key]
    return PageState(
        weights=kinds["weights"],
        mean=kinds["mean"],
        optimizer=list(kinds["optimizer"].values()),
        history=history,
    )


def finished_epochs(run_dir: Storage) -> list[str]:
    """Names of the folders of epochs, the last one first; what is in them may be damaged."""
    names = [name for name in run_dir.folders() if re.fullmatch(r"epoch-\d{3,}", name)]
    return sorted(names, key=lambda name: int(name.rpartition("-")[2]), reverse=True)


def last_state(run_dir: Storage, *, on_damage: Callable[[CheckpointError], None]) -> PageState | None:
    """The last epoch that can be read; None for a new start."""
    for name in finished_epochs(run_dir):
        try:
            return read_state(run_dir / name)
        except CheckpointError as error:
            on_damage(error)
    return None


def best_epoch(run_dir: Storage) -> PageState:
    """The epoch with the lowest error rate on simulated pages, the last of equals; CheckpointError without any."""
    judged = []
    for name in finished_epochs(run_dir):
        try:
            state = read_state(run_dir / name)
        except CheckpointError:
            continue  # last_state has told of it
        if state.history[-1].error_rate is not None:
            judged.append(state)
    if not judged:
        raise CheckpointError(f"no epoch of {run_dir} was judged on simulated pages", "at least one, its last")
    return min(judged, key=lambda state: (state.history[-1].error_rate, -len(state.history)))
