"""The registry of a storage path: a record for each finished checkpoint, and what serves, which follows from them.

    STORAGE/registry/RUN--NAME-0123456789ab.json     a finished checkpoint: its score, and what that was measured on
    STORAGE/registry/choice-0123456789ab.json        a choice: one checkpoint counts, those known by then do not
    STORAGE/best.json                                the best one, for those who read that file

A file of the registry is written once and never changed, and each writer has its own: jobs that end at once lose
nothing. Scores are compared only where name, protocol, data and split are the same.

The checkpoint that comes with digits, in digits/shipped, is an entry of every storage path (`Registry.in_service`).
"""

import functools
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from digits.errors import CheckpointError
from digits.models import checkpoints
from digits.models.checkpoints import BEST, RECORD
from digits.storage import Storage
from digits.uris import is_uri, public

FORMAT = 1
FOLDER = "registry"
CHOICE = "choice-"
"""Files whose names begin with this are choices."""
ONLY_OF_ARTICLE = ("validation_fraction", "split_seed")
"""Settings of the data that decide who validates under the article's protocol only."""
SHIPPED = Path(__file__).resolve().parents[1] / "shipped"
"""Folder of the checkpoint that comes with digits."""
SHIPPED_BASELINE = SHIPPED / "baseline"
"""The article's small network, to be compared with; it is no entry, and never serves by itself."""
SHIPPED_NAME = "shipped"
"""How people name it."""
READERS = 16
"""Files that are read at a time: each takes some time of its own in a bucket."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """The record of a finished checkpoint."""

    id: str
    """Name of its file, without .json."""
    checkpoint: str
    """Its folder inside the storage path."""
    score: float
    measured_on: dict[str, Any]
    """What is the same where scores can be compared: score_name, protocol, fingerprint of the data, their split."""
    registered: str
    """When, in UTC, as ISO 8601 writes it."""

    def is_comparable(self, other: Self) -> bool:
        """Whether the two scores say which checkpoint is better."""
        return self.measured_on == other.measured_on

    def differences(self, other: Self) -> str:
        """What keeps the two scores from being compared, such as: protocol article, not literature.

        Settings of one protocol are left out where the other score has another one.
        """
        mine, others = self.measured_on, other.measured_on
        left_out = ONLY_OF_ARTICLE if mine.get("protocol") != others.get("protocol") else ()
        keys = [key for key in {**mine, **others} if mine.get(key) != others.get(key) and key not in left_out]
        return ", ".join(f"{key} {short(str(mine.get(key)))}, not {short(str(others.get(key)))}" for key in keys)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The record of a choice."""

    id: str
    chosen: str | None
    """Id of the entry that was chosen; None where only some were set aside."""
    set_aside: frozenset[str]
    """Ids of the entries that count no more."""
    replaces: frozenset[str]
    """Ids of the choices before it."""
    made: str
    """When, in UTC, as ISO 8601 writes it."""


@dataclass(frozen=True, kw_only=True)
class Registry:
    """All records of a storage path, as they were when they were read."""

    storage: Storage
    entries: tuple[Entry, ...]
    """In the order in which they were registered."""
    choices: tuple[Choice, ...]

    @classmethod
    def read(cls, storage: Storage) -> Self:
        """The records of a storage path; CheckpointError for one that cannot be read."""
        names = [name.removesuffix(".json") for name in (storage / FOLDER).files() if name.endswith(".json")]
        with ThreadPoolExecutor(READERS) as pool:
            records = list(pool.map(lambda name: read_record(storage, name), names))
        entries = [record for record in records if isinstance(record, Entry)]
        choices = [record for record in records if isinstance(record, Choice)]
        entries.sort(key=lambda entry: (entry.registered, entry.id))
        return cls(storage=storage, entries=tuple(entries), choices=tuple(choices))

    @property
    def choice(self) -> Choice | None:
        """The choice that holds: the one that none replaces; of several made at once, the last."""
        replaced = frozenset[str]().union(*(choice.replaces for choice in self.choices))
        standing = [choice for choice in self.choices if choice.id not in replaced]
        return max(standing, key=lambda choice: (choice.made, choice.id), default=None)

    @property
    def chosen(self) -> Entry | None:
        """The entry that was chosen."""
        return next((entry for entry in self.entries if self.choice and entry.id == self.choice.chosen), None)

    @property
    def counted(self) -> list[Entry]:
        """The entries that no choice has set aside."""
        return [entry for entry in self.entries if not self.choice or entry.id not in self.choice.set_aside]

    def folder(self, entry: Entry) -> Storage:
        """Where a checkpoint lies."""
        return Storage.open(SHIPPED) if entry == shipped_entry() else self.storage / entry.checkpoint

    def is_there(self, entry: Entry) -> bool:
        """Whether a checkpoint still lies there: people remove runs."""
        return (self.folder(entry) / RECORD).exists()

    def best(self) -> Entry | None:
        """Of the entries comparable with the chosen one, or else with the first, the one with the highest score.

        The earliest of equals. Entries whose checkpoint was removed do not count; None where none is left.
        """
        counted = self.counted
        reference = self.chosen or next((entry for entry in counted if self.is_there(entry)), None)
        while reference is not None:
            comparable = [entry for entry in counted if entry.is_comparable(reference)]
            for entry in sorted(comparable, key=lambda entry: -entry.score):
                if self.is_there(entry):
                    return entry
            # All that could be compared with the chosen one were removed, and it too: the others count.
            counted = [entry for entry in counted if entry not in comparable]
            reference = next((entry for entry in counted if self.is_there(entry)), None)
        return None

    def in_service(self) -> Entry:
        """What serves: the best one, or the shipped one where that is better or there is no other.

        One that was chosen, or whose digits are not MNIST's, serves whatever its score. One of MNIST whose score was
        measured on other digits of it than the shipped one's serves once it is chosen.
        """
        best, shipped = self.best(), shipped_entry()
        if best is None:
            return shipped
        if best == self.chosen or best.measured_on.get("fingerprint") != shipped.measured_on["fingerprint"]:
            return best
        if self.chosen is not None or (best.is_comparable(shipped) and best.score > shipped.score):
            return best
        return shipped

    def find(self, name: str) -> Entry:
        """The latest entry of a checkpoint, named by its path inside the storage path or in full.

        CheckpointError where there is none.
        """
        full = _without_options(public(name) if is_uri(name) else str(Path(name).expanduser().absolute()))
        for entry in reversed(self.entries):
            if name.rstrip("/") == entry.checkpoint or full == _without_options(str(self.folder(entry))):
                return entry
        raise CheckpointError(
            f"{public(name)} is not among the {len(self.entries)} checkpoints that {self.storage} knows",
            "RUN/NAME, as python jobs/choose.py lists them",
            "correct the name, or name its storage path with --storage-path",
        )


def short(value: str) -> str:
    """A value as a message shows it: of fingerprints, which + joins where digits are mixed, the beginnings."""
    return "+".join(f"{part[:12]}..." if len(part) > 40 else part for part in value.split("+"))


def has_best(storage: Storage) -> bool:
    """Whether a storage path names a best checkpoint."""
    return (storage / BEST).exists() or bool((storage / FOLDER).files())


def find_best(storage: Storage) -> Storage:
    """The folder of what serves: a storage path's best checkpoint, or the shipped one (see `Registry.in_service`).

    Where an earlier version wrote no records, best.json names it.
    """
    registry = Registry.read(storage)
    if not registry.entries and (storage / BEST).exists():
        return checkpoints.best_checkpoint(storage)
    return registry.folder(registry.in_service())


@functools.cache
def shipped_entry() -> Entry:
    """The record of the shipped checkpoint."""
    record = checkpoints.read_record(Storage.open(SHIPPED))
    return Entry(id=SHIPPED_NAME, checkpoint=SHIPPED_NAME, registered="", **measured(record))


def measured(record: Mapping[str, Any]) -> dict[str, Any]:
    """The score of a checkpoint, given its record, and what it was measured on."""
    metrics = record["metrics"]
    name = "validation_accuracy" if metrics["photo_score"] is None else "photo_score"
    return {"score": metrics[name], "measured_on": {"score_name": name, **validated_on(record["data"])}}


def validated_on(data: Mapping[str, Any]) -> dict[str, Any]:
    """What decides which digits validate, of the data in a checkpoint's record: paths and weights do not."""
    left_out = ("path", "weights", *(() if data["protocol"] == "article" else ONLY_OF_ARTICLE))
    return {key: value for key, value in data.items() if key not in left_out}


def _without_options(path: str) -> str:
    """A URI without what follows its path; a local path as it is."""
    return path.partition("?")[0] if is_uri(path) else path


def file_of(storage: Storage, id: str) -> Storage:
    """The file of a record."""
    return storage / FOLDER / f"{id}.json"


def read_record(storage: Storage, id: str) -> Entry | Choice:
    """One record of a storage path; CheckpointError where it cannot be read."""
    file = file_of(storage, id)
    try:
        content = json.loads(file.read_bytes())
        if content["format"] != FORMAT:
            raise ValueError(f"its format is {content['format']}")
        return _choice(id, content) if id.startswith(CHOICE) else _entry(id, content)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{file} cannot be read: {error!r}",
            f"a record of the registry, a JSON object with format {FORMAT}",
            "remove the file if it is damaged; if a newer version of digits wrote it, use that version",
        ) from error


def _entry(id: str, content: Mapping[str, Any]) -> Entry:
    keys = ("checkpoint", "score", "measured_on", "registered")
    return Entry(id=id, **{key: content[key] for key in keys})


def _choice(id: str, content: Mapping[str, Any]) -> Choice:
    aside, replaces = frozenset(content["set_aside"]), frozenset(content["replaces"])
    return Choice(id=id, chosen=content["chosen"], set_aside=aside, replaces=replaces, made=content["made"])
