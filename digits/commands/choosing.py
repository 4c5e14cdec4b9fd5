"""What jobs/choose.py does: shows the registry of a storage path, and makes a checkpoint the best one."""

from dataclasses import dataclass
from typing import Any

from digits.commands.console import show_table
from digits.commands.settings import StorageSettings
from digits.default_storage import choose_storage
from digits.errors import require
from digits.models import registering
from digits.models.registry import Entry, Registry, find_best, has_best, shipped_entry


@dataclass(frozen=True, kw_only=True)
class ChooseSettings(StorageSettings):
    """Shows the checkpoints of a storage path and which of them is the best; --checkpoint makes another one the best.

    That one stays the best until a later training leaves a better one that can be compared with it. So one goes back to
    an earlier network, or on to one that was measured on other data.
    """

    checkpoint: str | None = None
    """The checkpoint to be the best, as RUN/NAME or as its full path, or shipped; left out, nothing is changed."""
    by_score: bool = False
    """Drop earlier choices: what serves follows from the scores again."""


def choose(settings: ChooseSettings) -> dict[str, Any]:
    """Choose what the command line names, if anything, and show all; returns the job's JSON document."""
    require(
        settings.checkpoint is None or not settings.by_score,
        "--checkpoint and --by-score",
        "one of them at most",
        "leave one out",
    )
    storage = choose_storage(settings.storage_path, holds=has_best)
    print(f"checkpoints of {storage}", flush=True)
    changes = settings.checkpoint is not None or settings.by_score
    registry = registering.choose(storage, settings.checkpoint) if changes else Registry.read(storage)
    entries = (shipped_entry(), *registry.entries)
    # Where an earlier version wrote no records, best.json names the best one, which is no entry.
    folder, best = str(find_best(storage)), registry.in_service() if registry.entries or not has_best(storage) else None
    rows = [row_of(registry, entry, best) for entry in entries]
    show_table("Checkpoints, oldest first", ["checkpoint", "score", "of", "registered", ""], rows)
    print(f"best checkpoint: {folder}")
    return {
        "best": folder,
        "checkpoints": [
            {"checkpoint": entry.checkpoint, "score": entry.score, **entry.measured_on, "registered": entry.registered}
            for entry in entries
        ],
    }


def row_of(registry: Registry, entry: Entry, best: Entry | None) -> list[str]:
    """An entry in the table: what it reached, and what it is to the best one."""
    if not registry.is_there(entry):
        standing = "removed"
    elif entry == best:
        standing = "the best" if entry != registry.chosen else "the best, chosen"
    elif best is not None and not entry.is_comparable(best):
        standing = f"not compared: {entry.differences(best)}"
    else:
        standing = "" if entry in (shipped_entry(), *registry.counted) else "set aside"
    score_name = entry.measured_on["score_name"].replace("_", " ")
    return [entry.checkpoint, f"{entry.score:.2%}", score_name, entry.registered[:16].replace("T", " "), standing]
