"""Writes the registry of a storage path: what is finished, what is chosen, and best.json, which follows from both."""

import hashlib
import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from digits.errors import CheckpointError
from digits.models import checkpoints
from digits.models.checkpoints import BEST, Checkpoint
from digits.models.registry import CHOICE, FORMAT, SHIPPED_NAME, Entry, Registry, file_of, measured
from digits.storage import Storage


def register(storage: Storage, finished: Sequence[Checkpoint]) -> tuple[Registry, list[str]]:
    """Write a record for each finished checkpoint, which lies in the storage path, then best.json.

    Returns all records, and what is wrong with those that were the best and are damaged: they are set aside.
    """
    adopt(storage)
    for checkpoint in finished:
        write_entry(storage, checkpoint)
    damaged = set_damaged_aside(storage)
    write_best(storage)
    return Registry.read(storage), damaged


def choose(storage: Storage, name: str | None) -> Registry:
    """Make a checkpoint the best, until one that is registered later and can be compared has a better score.

    Without a name all earlier choices are dropped; "shipped" sets all that are there aside. Returns all records;
    CheckpointError for an unknown or damaged one.
    """
    adopt(storage)
    registry = Registry.read(storage)
    if name is None:
        _write_choice(registry, None, ())
    elif name == SHIPPED_NAME:
        _write_choice(registry, None, (entry.id for entry in registry.entries))
    else:
        entry = registry.find(name)
        checkpoints.load(registry.folder(entry))
        _write_choice(registry, entry.id, (other.id for other in registry.entries if other != entry))
    set_damaged_aside(storage)
    write_best(storage)
    return Registry.read(storage)


def adopt(storage: Storage) -> None:
    """Where an earlier version wrote no records, write that of the checkpoint that best.json names."""
    if Registry.read(storage).entries or not (storage / BEST).exists():
        return
    try:
        folder = checkpoints.best_checkpoint(storage)
        checkpoint = checkpoints.load(folder)
    except CheckpointError:
        return  # whatever is finished is better than what cannot be read
    if _inside(storage, folder) and {"metrics", "data"} <= set(checkpoint.record):
        write_entry(storage, checkpoint)


def write_entry(storage: Storage, checkpoint: Checkpoint) -> None:
    """Write the record of a finished checkpoint, unless it is there."""
    inside, record = _inside(storage, checkpoint.folder), checkpoint.record
    assert inside, "what a job finishes lies in its storage path"
    facts = {
        "format": FORMAT,
        "checkpoint": inside,
        **measured(record),
        "versions": record.get("versions", {}),
        "sha256": record["sha256"][checkpoints.WEIGHTS],
    }
    file = file_of(storage, f"{inside.replace('/', '--')}-{_digest(facts)}")
    if not file.exists():
        file.write_bytes(json.dumps({**facts, "registered": _now()}, indent=1, allow_nan=False).encode())


def set_damaged_aside(storage: Storage) -> list[str]:
    """Set the best checkpoint aside if it is damaged, and the next one, until one is whole; returns what is wrong.

    CheckpointError where storage itself fails: then nothing is known of the checkpoint.
    """
    damaged = []
    while (best := (registry := Registry.read(storage)).best()) is not None:
        try:
            checkpoints.load(registry.folder(best))
        except CheckpointError as error:
            if checkpoints.is_of_storage(error):
                raise
            chosen, aside = registry.chosen, registry.choice.set_aside if registry.choice else frozenset()
            _write_choice(registry, chosen.id if chosen and chosen != best else None, {*aside, best.id})
            damaged.append(error.happened)
        else:
            break
    return damaged


def write_best(storage: Storage) -> None:
    """Write best.json as it follows from the records.

    Where all records are set aside there is none. Whoever writes it looks again afterwards: the last one to write has
    seen the records of all.
    """
    written: object = "nothing yet"
    while (best := (registry := Registry.read(storage)).best()) != written:
        if best is not None:
            (storage / BEST).write_bytes(json.dumps(best_of(registry, best), indent=1, allow_nan=False).encode())
        elif registry.entries and (storage / BEST).exists():
            (storage / BEST).delete()
        written = best


def best_of(registry: Registry, best: Entry) -> dict[str, Any]:
    """What best.json says of the best checkpoint."""
    record = checkpoints.read_record(registry.folder(best))
    return {
        "checkpoint": best.checkpoint,
        "score": best.score,
        **best.measured_on,
        "run": best.checkpoint.rpartition("/")[0],
        "architecture": record["architecture"],
        "training": record.get("training"),
    }


def _write_choice(registry: Registry, chosen: str | None, set_aside: Iterable[str]) -> None:
    replaces = sorted(choice.id for choice in registry.choices)
    facts = {"chosen": chosen, "set_aside": sorted(set_aside), "replaces": replaces, "made": _now()}
    file = file_of(registry.storage, f"{CHOICE}{uuid.uuid4().hex[:12]}")
    file.write_bytes(json.dumps({"format": FORMAT, **facts}, indent=1).encode())


def _inside(storage: Storage, folder: Storage) -> str | None:
    """Path of a folder inside a storage path; None where it lies elsewhere."""
    inside = folder.path.removeprefix(f"{storage.path}/")
    return None if inside == folder.path or folder.filesystem != storage.filesystem else inside


def _digest(facts: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
