"""Checkpoints: a network as plain arrays with a JSON record beside them.

A checkpoint is a folder: weights.npz (arrays, never pickled), optimizer.npz (to resume training), checkpoint.json
(all that is needed to rebuild and judge the network, and the SHA-256 of the other files), and, once it is finished,
grey.onnx and colour.onnx, which answer, and model.keras for other Keras users, which this project never loads.
best.json of a storage path names the best one (digits.models.registry).
"""

import hashlib
import io
import json
import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from digits.config import Architecture
from digits.errors import CheckpointError, ConfigurationError
from digits.models.calibration import UsualEnergy
from digits.storage import Storage
from digits.uris import is_uri

FORMAT = 1
RECORD, WEIGHTS, OPTIMIZER, KERAS_MODEL, BEST = (
    "checkpoint.json",
    "weights.npz",
    "optimizer.npz",
    "model.keras",
    "best.json",
)
GRAPHS = ("grey.onnx", "colour.onnx")
"""The finished network for ONNX Runtime: images in grey, and in colour."""
UNCALIBRATED = 1.0
"""The temperature of a network that was not calibrated: it leaves the logits as they are."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A checkpoint that was read and verified."""

    folder: Storage
    """Where it was read from."""
    architecture: Architecture
    weights: dict[str, np.ndarray]
    """float32 arrays, named and shaped as `architecture.weight_shapes()` says."""
    record: dict[str, Any]
    """The content of checkpoint.json."""
    graphs: tuple[bytes, bytes] | None = None
    """The same network as ONNX models for images in grey and in colour, where the checkpoint is finished."""

    @property
    def path(self) -> str:
        """Folder or URI it was read from."""
        return str(self.folder)

    @property
    def name(self) -> str:
        """What people call it: architecture, seed and epoch."""
        return self.record["name"]

    @property
    def temperature(self) -> float:
        """Divides the logits before the softmax, so that confidence means what it says; 1 if not calibrated."""
        return float(self.record.get("calibration", {}).get("temperature", UNCALIBRATED))

    @property
    def usual_energy(self) -> UsualEnergy | None:
        """Energy scores of the validation digits; None for a checkpoint of before they were noted."""
        return energy_in(self.record.get("calibration", {}))

    @property
    def knows_none(self) -> bool:
        """Whether its training showed what is no digit, too; not so before there was a setting for it."""
        training = self.record.get("training", {})
        return bool(training.get("distort") and training.get("outliers"))


def pack_arrays(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Arrays as the bytes of an .npz file, without pickle."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def unpack_arrays(data: bytes, name: str) -> dict[str, np.ndarray]:
    """The arrays of an .npz file; CheckpointError if it is damaged or holds anything but arrays."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return {key: arrays[key] for key in arrays.files}
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise CheckpointError(f"{name} cannot be read as plain arrays: {error}") from error


def write_record(folder: Storage, record: Mapping[str, Any]) -> None:
    """Write checkpoint.json. It comes last, so that a folder that has one is complete."""
    (folder / RECORD).write_bytes(json.dumps({"format": FORMAT, **record}, indent=1, allow_nan=False).encode())


def write(
    folder: Storage,
    *,
    weights: Mapping[str, np.ndarray],
    record: Mapping[str, Any],
    optimizer: Mapping[str, np.ndarray] | None = None,
    keras_model: bytes | None = None,
    graphs: tuple[bytes, bytes] | None = None,
) -> None:
    """Write a checkpoint folder; `record` holds at least name and architecture (a dictionary).

    `optimizer` lets training resume from here; `keras_model`, a .keras file, is for other Keras users; `graphs`, ONNX
    models, let it read where the package onnx is not installed.
    """
    files = {WEIGHTS: pack_arrays(weights)}
    if optimizer is not None:
        files[OPTIMIZER] = pack_arrays(optimizer)
    if keras_model is not None:
        files[KERAS_MODEL] = keras_model
    files.update(zip(GRAPHS, graphs or (), strict=False))
    for name, data in files.items():
        (folder / name).write_bytes(data)
    write_record(folder, {**record, "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}})


def read_verified(folder: Storage, record: Mapping[str, Any], name: str) -> bytes:
    """One file of a checkpoint, its SHA-256 checked against the record."""
    try:
        data = (folder / name).read_bytes()
    except OSError as error:
        raise CheckpointError(f"{folder / name} cannot be read: {error}") from error
    digest, expected = hashlib.sha256(data).hexdigest(), record["sha256"].get(name)
    if digest != expected:
        raise CheckpointError(f"{folder / name} is damaged: its SHA-256 is {digest}", f"SHA-256 {expected}")
    return data


def read_arrays(folder: Storage, record: Mapping[str, Any], name: str) -> dict[str, np.ndarray]:
    """The arrays of one .npz file of a checkpoint, its SHA-256 checked against the record."""
    return unpack_arrays(read_verified(folder, record, name), str(folder / name))


def read_record(folder: Storage) -> dict[str, Any]:
    """The checked content of checkpoint.json."""
    try:
        record = json.loads((folder / RECORD).read_bytes())
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{folder / RECORD} cannot be read: {error}") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise CheckpointError(f"{folder / RECORD} has another format", f"a JSON object with format {FORMAT}")
    if not isinstance(record.get("sha256"), dict) or not isinstance(record.get("name"), str):
        raise CheckpointError(f"{folder / RECORD} is incomplete", "the keys name, architecture and sha256")
    calibration = record.get("calibration", {})
    temperature: Any = calibration.get("temperature", UNCALIBRATED) if isinstance(calibration, dict) else None
    if type(temperature) not in (int, float) or not 0 < temperature < math.inf:
        raise CheckpointError(
            f"{folder / RECORD} has no usable calibration", "an object whose key temperature is a number above 0"
        )
    try:
        energy_in(calibration)
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            f"{folder / RECORD} has no usable energy score: {error}", "mean and std, finite numbers, std above 0"
        ) from error
    return record


def energy_in(calibration: Mapping[str, Any]) -> UsualEnergy | None:
    """What a record's calibration says of energy scores; TypeError or ValueError where it makes no sense."""
    if "energy" not in calibration:
        return None
    found = UsualEnergy(**calibration["energy"])
    if not (math.isfinite(found.mean) and 0 < found.std < math.inf):
        raise ValueError(f"mean {found.mean}, std {found.std}")
    return found


def load(path: str | Storage) -> Checkpoint:
    """Read and verify a checkpoint folder; CheckpointError says what is wrong with it.

    Only arrays and JSON are read: nothing in a checkpoint can run code.
    """
    folder = path if isinstance(path, Storage) else Storage.open(path)
    record = read_record(folder)
    try:
        architecture = Architecture.from_dict(record.get("architecture"))
    except (ConfigurationError, TypeError) as error:
        raise CheckpointError(f"{folder / RECORD} describes no valid architecture: {error}") from error
    weights = read_arrays(folder, record, WEIGHTS)
    found = {name: array.shape for name, array in weights.items()}
    if found != architecture.weight_shapes():
        raise CheckpointError(f"{folder / WEIGHTS} holds arrays {found}", f"arrays {architecture.weight_shapes()}")
    for name, array in weights.items():
        if array.dtype != np.float32 or not np.isfinite(array).all():
            raise CheckpointError(f"array {name} of {folder / WEIGHTS} is not finite float32", "finite float32 numbers")
    graphs = None
    if set(GRAPHS) <= set(record["sha256"]):
        grey, colour = (read_verified(folder, record, name) for name in GRAPHS)
        graphs = (grey, colour)
    return Checkpoint(folder=folder, architecture=architecture, weights=weights, record=record, graphs=graphs)


def is_of_storage(error: Exception) -> bool:
    """Whether storage failed, so that nothing is known of the checkpoint; a file that is not there is its fault."""
    fault = error if isinstance(error, OSError) else error.__cause__
    return isinstance(fault, OSError) and not isinstance(fault, FileNotFoundError)


def best_checkpoint(storage: Storage) -> Storage:
    """The folder that best.json of a storage path names; CheckpointError if there is none or it names no checkpoint.

    It is named inside the storage path where possible, so that a folder of runs can be moved or mounted.
    """
    entry = storage / BEST
    if not entry.exists():
        raise CheckpointError(f"there is no {entry}", "the best.json that training writes", "train first: make train")
    try:
        best = json.loads(entry.read_bytes())
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{entry} cannot be read: {error}", "a JSON object with the key checkpoint") from error
    named = best.get("checkpoint") if isinstance(best, dict) else None
    if not isinstance(named, str):
        raise CheckpointError(f"{entry} names no checkpoint", "a JSON object with the key checkpoint")
    return Storage.open(named) if is_uri(named) or named.startswith("/") else storage / named
