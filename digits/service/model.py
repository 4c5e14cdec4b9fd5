"""Which checkpoint serves, and the same ready to answer: loaded, verified and warmed up."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from digits.default_storage import choose_storage
from digits.errors import CheckpointError, ConfigurationError, UserError, require
from digits.images import to_rgb
from digits.models.registry import SHIPPED, SHIPPED_NAME, find_best, has_best
from digits.preprocessing.prepare import prepare_photo
from digits.reading.networks import Networks
from digits.reading.reader import Reader
from digits.service.settings import MODEL_KEYS, ROOT
from digits.storage import Storage
from digits.uris import is_uri, public, without_keys

BEST = "best"
"""Names, as `checkpoint`, what `digits.models.registry.find_best` finds."""
REFRESH_S = 60.0
"""How often a replica looks whether another checkpoint is the best by now, in seconds, where nobody says otherwise."""
_DESCRIPTION_KEYS = ("metrics", "training", "data", "calibration", "versions")


@dataclass(frozen=True, kw_only=True)
class Model:
    """A checkpoint ready to answer."""

    networks: Networks
    description: dict[str, Any]
    """What GET /model tells about it, JSON-ready: architecture, metrics, training configuration, versions, reader."""

    @property
    def name(self) -> str:
        """What people call its checkpoint."""
        return self.networks.checkpoint.name

    @property
    def path(self) -> str:
        """Where its checkpoint lies, as messages show it."""
        return self.networks.checkpoint.path


def find_checkpoint(choice: Mapping[str, Any]) -> Storage | str:
    """The folder, or its path or URI, of the checkpoint that a `user_config` names.

    `checkpoint` is a folder, a URI, "shipped" for the one that comes with digits, or "best" for that or the best one
    of `storage_path`, as `Registry.in_service` says; without a storage path, of runs, or of ~/digits-runs where runs
    has none.
    """
    refresh_of(choice)
    named = choice.get("checkpoint", BEST)
    if named == BEST:
        return find_best(choose_storage(choice.get("storage_path"), ROOT, holds=has_best))
    if named == SHIPPED_NAME:
        return Storage.open(SHIPPED)
    return named if is_uri(named) else str(ROOT / Path(named).expanduser())


def refresh_of(choice: Mapping[str, Any]) -> float:
    """How often a replica with this `user_config` looks for a better checkpoint, in seconds; 0 for never.

    ConfigurationError for a `user_config` that is none.
    """
    shown = {key: public(value) if isinstance(value, str) else value for key, value in choice.items()}
    refresh_s = choice.get("refresh_s", REFRESH_S)
    require(
        set(choice) <= {"checkpoint", "storage_path", "refresh_s"}
        and all(isinstance(choice.get(key, ""), str) for key in ("checkpoint", "storage_path"))
        and type(refresh_s) in (int, float)
        and (refresh_s == 0 or 1 <= refresh_s < math.inf),
        f"the service is configured with {shown}",
        "the keys checkpoint and storage_path, both strings, and refresh_s, 0 or a number of seconds from 1",
        "correct user_config in serve/config.yaml",
    )
    return float(refresh_s)


def as_told(error: UserError | OSError, choice: Mapping[str, Any]) -> UserError:
    """Why what a `user_config` names cannot serve, as everybody may read it: without the keys of its URIs."""
    if isinstance(error, OSError):
        error = ConfigurationError(
            f"the storage of the checkpoint cannot be read: {error}",
            "a folder or bucket that this machine reaches and this user may read",
            "check the network, and address and keys of the bucket, or name another with storage_path=...",
        )
    happened, expected, remedy = error.happened, error.expected, error.remedy
    for uri in (choice[key] for key in MODEL_KEYS if is_uri(str(choice.get(key, "")))):
        happened, expected, remedy = (without_keys(part, uri) for part in (happened, expected, remedy))
    return type(error)(happened, expected, remedy, reason=error.reason)


def load_model(path: str | Storage) -> Model:
    """Load, verify and warm up the checkpoint at `path`; CheckpointError if it cannot serve."""
    networks = Networks.load(path)
    checkpoint, record = networks.checkpoint, networks.checkpoint.record
    # The first run of the graphs and of the photo path allocates and compiles: no visitor should wait for that.
    photo = np.full((64, 64, 3), 255, np.uint8)
    photo[12:52, 28:36] = 0
    prepared = prepare_photo(photo)
    for image in (prepared, to_rgb(prepared)):
        for batch in (1, 8):
            probabilities = networks.classifier.probabilities(np.repeat(image[None], batch, axis=0))
    found, _ = networks.reader.find(np.ascontiguousarray(photo[..., 0]))
    if not np.isfinite([*probabilities.ravel(), *(one.confidence for one in found)]).all():
        raise CheckpointError(f"the networks of {checkpoint.path} answer with numbers that are not finite")
    return Model(
        networks=networks,
        description={
            "name": checkpoint.name,
            "architecture": checkpoint.architecture.to_dict(),
            "num_parameters": checkpoint.architecture.num_parameters(),
            **{key: record[key] for key in _DESCRIPTION_KEYS if key in record},
            "reader": described(networks.reader, shipped=not networks.has_own_reader),
        },
    )


def described(reader: Reader, *, shipped: bool) -> dict[str, Any]:
    """What GET /model tells about a page network; whether it is the shipped one, for want of the checkpoint's own."""
    pages = reader.record["simulated_pages"]
    kept = ("character_error_rate", "exact", "answered_without_digits")
    return {
        "name": reader.record["name"],
        "shipped": shipped,
        "simulated_pages": {key: pages[key] for key in kept if key in pages},
    }
