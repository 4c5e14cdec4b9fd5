"""A run: which networks are trained, how and on which digits, and what lies in its folder afterwards.

    RUN/run.json                        what was asked for
    RUN/baseline-seed0-epoch003/        the checkpoint of one epoch, from which training goes on
    RUN/baseline-seed0/                 the finished checkpoint: best epoch, calibrated

The folder is the truth: whatever ended a run, it goes on from the last epoch that can be read.
"""

import json
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from typing import Any, ClassVar, Self

from digits import __version__
from digits.config import NUM_PHOTOS, Architecture, DataConfig, Recipe, TrainingConfig
from digits.errors import CheckpointError, ConfigurationError
from digits.models import checkpoints
from digits.models.checkpoints import Checkpoint
from digits.storage import Storage
from digits.training.state import EpochResult, TrainingState

PACKAGES = ("ray", "tensorflow", "keras", "numpy", "onnxruntime", "opencv-python-headless", "pillow")
"""Packages whose versions a checkpoint records, beside our own."""


@dataclass(frozen=True, kw_only=True)
class Network:
    """One network of a run."""

    architecture_name: str
    """What people call it, such as baseline."""
    recipe: Recipe

    @property
    def name(self) -> str:
        """Architecture and seed: the folder of the finished checkpoint."""
        return f"{self.architecture_name}-seed{self.recipe.training.seed}"

    def epoch_name(self, epoch: int) -> str:
        """Folder of the checkpoint that an epoch (from 1) leaves."""
        return f"{self.name}-epoch{epoch:03d}"


@dataclass(frozen=True, kw_only=True)
class Noted(ABC):
    """What a job was asked for: noted in its folder as JSON, so that it can go on from there."""

    FILE: ClassVar[str]
    """The file that it is noted in."""
    KIND: ClassVar[str]
    """What a person calls it."""

    fingerprint: str
    """Of the data, see `digits.data.files.DigitFiles`."""

    def write(self, run_dir: Storage) -> None:
        """Note in the run's folder what was asked for."""
        (run_dir / self.FILE).write_bytes(json.dumps(asdict(self), indent=1).encode())

    @classmethod
    def read(cls, run_dir: Storage) -> Self:
        """What `write` noted; ConfigurationError where there is no such note."""
        try:
            return cls.from_dict(json.loads((run_dir / cls.FILE).read_bytes()))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigurationError(
                f"{run_dir} is no {cls.KIND} that can go on: {error}",
                f"the folder of an earlier {cls.KIND}, with a readable {cls.FILE}",
                f"name a {cls.KIND} inside the storage path, or start a new one without --resume",
            ) from error

    @classmethod
    @abstractmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The same from the JSON object that `write` made."""


@dataclass(frozen=True, kw_only=True)
class Resumable(Noted):
    """What a training or a search was asked for, on which digits."""

    data: DataConfig

    def apart_from_length(self, asked: Self) -> Self:
        """What is asked for, without asking this to be longer or shorter, where it may become longer."""
        return asked


@dataclass(frozen=True, kw_only=True)
class Run(Resumable):
    """What one run trains, on which digits."""

    FILE, KIND = "run.json", "run"

    networks: tuple[Network, ...]

    @classmethod
    def of(cls, recipes: Mapping[str, Recipe], seeds: Sequence[int], data: DataConfig, fingerprint: str) -> Self:
        """A run of every recipe with every seed, seeds innermost."""
        networks = tuple(
            Network(architecture_name=name, recipe=replace(recipe, training=replace(recipe.training, seed=seed)))
            for name, recipe in recipes.items()
            for seed in seeds
        )
        return cls(networks=networks, data=data, fingerprint=fingerprint)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """A run from its JSON object."""
        networks = [
            Network(
                architecture_name=network["architecture_name"],
                recipe=Recipe(
                    architecture=Architecture.from_dict(network["recipe"]["architecture"]),
                    training=TrainingConfig(**network["recipe"]["training"]),
                ),
            )
            for network in values["networks"]
        ]
        return cls(networks=tuple(networks), data=DataConfig(**values["data"]), fingerprint=values["fingerprint"])


def record_of(run: Run, network: Network, state: TrainingState, num_workers: int) -> dict[str, Any]:
    """The record of an epoch's checkpoint: all that is needed to rebuild the network, to go on, and to judge it."""
    return {
        "name": network.epoch_name(len(state.history)),
        "architecture_name": network.architecture_name,
        "architecture": network.recipe.architecture.to_dict(),
        "parameters": network.recipe.architecture.num_parameters(),
        "training": {**asdict(network.recipe.training), "num_workers": num_workers},
        "data": {**asdict(run.data), "fingerprint": run.fingerprint},
        "metrics": state.history[-1].to_dict(),
        "history": [epoch.to_dict() for epoch in state.history],
        "versions": {"digits": __version__, **{name: version(name) for name in PACKAGES}},
    }


def write_epoch(folder: Storage, run: Run, network: Network, state: TrainingState, num_workers: int) -> None:
    """Write the checkpoint of the epoch that `state` ends with."""
    record = record_of(run, network, state, num_workers)
    checkpoints.write(folder, weights=state.weights, optimizer=state.optimizer, record=record)


def complete_best_epoch(run_dir: Storage, network: Network, keras_file: Callable[[Checkpoint], bytes]) -> None:
    """Add the .keras file that `keras_file` makes to the best epoch, once, when all epochs are trained."""
    best = best_epoch(run_dir, network)
    file = best.folder / checkpoints.KERAS_MODEL
    if not file.exists():
        file.write_bytes(keras_file(best))


def read_keras_file(epoch: Checkpoint) -> bytes:
    """What `complete_best_epoch` put there; checked where the record knows it, as that of earlier versions does."""
    folder = epoch.folder
    if checkpoints.KERAS_MODEL in epoch.record["sha256"]:
        return checkpoints.read_verified(folder, epoch.record, checkpoints.KERAS_MODEL)
    return (folder / checkpoints.KERAS_MODEL).read_bytes()


def finished_epochs(run_dir: Storage, network: Network) -> list[str]:
    """Names of the folders of a network's epochs, last epoch first; what is in them may be damaged."""
    pattern = re.compile(re.escape(network.name) + r"-epoch\d{3,}")
    names = [name for name in run_dir.folders() if pattern.fullmatch(name)]
    return sorted(names, key=lambda name: int(name.rpartition("-epoch")[2]), reverse=True)


def untrained(run_dir: Storage, run: Run) -> list[Network]:
    """The networks of a run whose last epoch is not there; what is there may be damaged."""
    folders = set(run_dir.folders())
    return [network for network in run.networks if network.epoch_name(network.recipe.training.epochs) not in folders]


def last_state(
    run_dir: Storage, network: Network, *, on_damage: Callable[[CheckpointError], None]
) -> TrainingState | None:
    """Where training goes on: the last epoch whose checkpoint can be read; None for a new start.

    `on_damage` is told of each damaged checkpoint; then the one before it is tried.
    """
    for name in finished_epochs(run_dir, network):
        try:
            checkpoint = checkpoints.load(run_dir / name)
            optimizer = checkpoints.read_arrays(run_dir / name, checkpoint.record, checkpoints.OPTIMIZER)
        except CheckpointError as error:
            on_damage(error)
            continue
        history = tuple(EpochResult(**epoch) for epoch in checkpoint.record["history"])
        return TrainingState(weights=checkpoint.weights, optimizer=optimizer, history=history)
    return None


def readable_epochs(run_dir: Storage, network: Network) -> Iterator[Checkpoint]:
    """The checkpoints of a network's epochs that can be read, last epoch first."""
    for name in finished_epochs(run_dir, network):
        try:
            yield checkpoints.load(run_dir / name)
        except CheckpointError:
            continue  # last_state has told of it


def best_epoch(run_dir: Storage, network: Network) -> Checkpoint:
    """The best of the epochs that can be read; CheckpointError where there is none.

    Chosen by validation accuracy, it is the one with the highest. The photo score stands on fewer pictures: chosen by
    it, of all epochs within one standard error of the highest, it is the one with the highest validation accuracy (the
    one-standard-error rule; Breiman et al., Classification and Regression Trees, 1984). Of equals it is the earliest.
    """
    readable = list(readable_epochs(run_dir, network))
    if not readable:
        raise CheckpointError(f"no epoch of {network.name} can be read in {run_dir}")
    if network.recipe.training.select_by == "photo_score":
        highest = max(checkpoint.record["metrics"]["photo_score"] for checkpoint in readable)
        num_photos = readable[0].record["metrics"].get("num_photos") or NUM_PHOTOS  # an earlier version told no number
        lowest = highest - math.sqrt(highest * (1 - highest) / num_photos)
        readable = [checkpoint for checkpoint in readable if checkpoint.record["metrics"]["photo_score"] >= lowest]
    return max(readable, key=lambda c: (c.record["metrics"]["validation_accuracy"], -c.record["metrics"]["epoch"]))
