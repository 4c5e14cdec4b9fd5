"""What jobs/make_shards.py does: turns digits in the forms that people have into Parquet shards for --data."""

import csv
import io
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from digits import cluster, stopping
from digits.commands.console import ProgressLine, show_table
from digits.commands.seen_photos import labelled_at
from digits.commands.shards import checks
from digits.commands.shards.pictures import Picture, prepare_all
from digits.data.mnist import find_mnist
from digits.data.shards import write_shards
from digits.data.sources import FORMS, Source, is_source, read_file, saved_files
from digits.errors import require
from digits.evaluation.photo_folder import LABELS, is_photo
from digits.reporting.figures import contact_sheet
from digits.storage import Storage

TOLD = 5
"""How many findings of a kind are printed; the files have all."""


@dataclass(frozen=True, kw_only=True)
class MakeShardsSettings:
    """Turns digits in the forms that people have into Parquet shards that jobs/train.py --data takes.

    Pictures of any size are prepared as the service prepares them, on all cores. What cannot be prepared, what is there
    more than once and labels that look wrong are told with file and line. The shards in mnist/digits_mnist were made
    in this way from MNIST's four IDX files.
    """

    sources: tyro.conf.Positional[tuple[str, ...]]
    """Files and folders: pictures in folders 0 to 9 or with labels.csv, photos of filled sheets, IDX, .npz, Kaggle's
    .csv, .parquet, .arrow."""
    output: Path
    """Folder for the shards, without Parquet files so far; after an interruption, the same command goes on."""
    transposed: bool = False
    """Exchange rows and columns of 28x28 digits, which EMNIST's files have the other way round."""
    with_mnist: bool = False
    """Add MNIST's digits to yours."""


@dataclass(kw_only=True, eq=False)
class Collected:
    """Digits so far, and where each stands."""

    images: list[np.ndarray] = field(default_factory=list)
    labels: list[np.ndarray] = field(default_factory=list)
    held_out: list[np.ndarray] = field(default_factory=list)
    where: list[str] = field(default_factory=list)

    def add(self, images: np.ndarray, labels: np.ndarray, held_out: np.ndarray, where: Sequence[str]) -> None:
        """Add digits uint8 (N, 28, 28) with labels int64 (N,) and bool (N,): whether each validates."""
        self.images.append(images)
        self.labels.append(labels)
        self.held_out.append(held_out)
        self.where += where


def make_shards(settings: MakeShardsSettings) -> dict[str, Any]:
    """Make what the command line names; returns the job's JSON document."""
    output = settings.output.expanduser().absolute()
    require(bool(settings.sources), "no sources are named", FORMS, "name at least one file or folder")
    there = sorted(output.glob("*.parquet")) if output.is_dir() else []
    require(
        not there, f"there are shards in {output} already", "a folder without Parquet files", "name another --output"
    )
    sources, pictures = find_sources(settings.sources)
    Storage.open(output).check_writable()
    shards = sorted(find_mnist().glob("*.parquet")) if settings.with_mnist else []
    mnist = [source for path in shards for source in read_file(path)]
    count = sum(len(source.labels) for source in (*sources, *mnist) if source.images is not None)
    print(f"{count:,} digits of 28x28, {len(pictures):,} pictures to prepare | {output}", flush=True)
    stopping.reached(lambda: "what is prepared is kept; type the command again to go on")

    collected = Collected()
    inverted = add_arrays(collected, sources, transposed=settings.transposed)
    add_arrays(collected, mnist, transposed=False)
    refused = add_pictures(collected, pictures, output) if pictures else 0
    require(any(map(len, collected.labels)), "no digit is left", "at least one", "see refused.csv for the reasons")
    images, labels = np.concatenate(collected.images), np.concatenate(collected.labels)
    held_out = np.concatenate(collected.held_out)
    found = findings(images, labels, held_out, collected.where)
    write_findings(output, found)
    files = write_all(output, images, labels, held_out)
    show_table(
        "Digits",
        ["", *map(str, range(10)), "all"],
        [
            [name, *(f"{n:,}" for n in np.bincount(labels[rows], minlength=10)), f"{int(rows.sum()):,}"]
            for name, rows in (("train", ~held_out), ("held out (test-*)", held_out))
        ],
    )
    print(f"train on them with: python jobs/train.py --data {output}")
    kinds = [kind for kind, *_ in found]
    return {
        "output": str(output),
        "digits": len(images),
        "held_out": int(held_out.sum()),
        "refused": refused,
        "inverted": inverted,
        "repeated": kinds.count("repeated"),
        "suspicious": kinds.count("suspicious"),
        "files": files,
    }


def find_sources(named: Sequence[str]) -> tuple[list[Source], list[Picture]]:
    """The files of digits and the pictures at some paths; DataError or PhotoFolderError for what is neither."""
    sources: list[Source] = []
    pictures: list[Picture] = []
    for name in named:
        path = Path(name).expanduser()
        require(path.exists(), f"there is no {path}", FORMS, "check the path")
        files = files_of(path)
        sources += [source for file in files for source in read_file(file)]
        if not files:
            pictures += [
                Picture(where=one.where, path=one.path, data=one.data, label=one.label, held_out=False)
                for one in labelled_at(path)
            ]
    for source in sources:
        pictures += [
            Picture(where=source.where(row), data=data, label=int(source.labels[row]), held_out=source.held_out)
            for row, data in enumerate(source.encoded)
        ]
    return sources, pictures


def files_of(path: Path) -> list[Path]:
    """The files of digits at a path: it, or those in a folder; none for labelled pictures or a photo of a sheet."""
    if not path.is_dir():
        return [] if not is_source(path) and is_photo(path) else [path]
    if saved := saved_files(path):
        return saved
    if (path / LABELS).is_file() or any((path / str(digit)).is_dir() for digit in range(10)):
        return []
    return sorted(file for file in path.iterdir() if file.is_file() and is_source(file))


def add_arrays(collected: Collected, sources: Sequence[Source], *, transposed: bool) -> int:
    """Add digits of 28x28, as light ink on black; returns how many were dark on light."""
    inverted = 0
    for source in sources:
        if source.images is None or not len(source.labels):
            continue
        images = source.images.transpose(0, 2, 1) if transposed else source.images
        dark = checks.dark_on_light(images)
        if dark.any():
            inverted += int(dark.sum())
            images = np.where(dark[:, None, None], 255 - images, images)
            first = source.where(int(np.flatnonzero(dark)[0]))
            print(
                f"{int(dark.sum()):,} of {len(dark):,} digits of {source.file} are dark on light, inverted: {first} ..."
            )
        if not transposed:
            checks.refuse_transposed(images, source.labels, source.file)
        held_out = np.full(len(images), source.held_out)
        where = [source.where(row) for row in range(len(images))]
        collected.add(np.ascontiguousarray(images), source.labels, held_out, where)
    return inverted


def add_pictures(collected: Collected, pictures: Sequence[Picture], output: Path) -> int:
    """Add pictures as digits; those that are none are listed and shown in the output. Returns how many these are."""
    cluster.connect()
    with ProgressLine() as line:
        done = prepare_all(
            pictures,
            Storage.open(output / "parts"),
            lambda count: line.show(f"{count:,}/{len(pictures):,} pictures", count / len(pictures)),
        )
    good = np.array([not reason for reason in done.reasons])
    collected.add(
        done.images[good],
        np.array([one.label for one in pictures], np.int64)[good],
        np.array([one.held_out for one in pictures])[good],
        [one.where for one, kept in zip(pictures, good, strict=True) if kept],
    )
    refused = [(one, reason) for one, reason in zip(pictures, done.reasons, strict=True) if reason]
    if refused:
        rows = [(one.where, one.label, reason) for one, reason in refused]
        Storage.open(output / "refused.csv").write_bytes(as_csv(("file", "label", "reason"), rows))
        sheet = contact_sheet([(one.read, f"{one.label}: {reason}") for one, reason in refused])
        Storage.open(output / "refused.png").write_bytes(sheet)
        print(f"{len(refused):,} pictures show no digit that can be prepared: refused.csv, refused.png")
    return len(refused)


Finding = tuple[str, str, int, str]
"""repeated or suspicious; where; the label; what is found."""


def findings(images: np.ndarray, labels: np.ndarray, held_out: np.ndarray, where: Sequence[str]) -> list[Finding]:
    """What somebody should look at before training: equal pictures, and labels that look wrong."""
    found: list[Finding] = []
    for rows in checks.repetitions(images):
        first, more = int(rows[0]), rows[1:]
        for row in more.tolist():
            word = f"equal to {where[first]}"
            if labels[row] != labels[first]:
                word += f", which is labelled {labels[first]}"
            elif held_out[row] != held_out[first]:
                word += ", on the other side of the split"
            found.append(("repeated", where[row], int(labels[row]), word))
    suspicious = checks.suspicions(images, labels)
    for row, answer, sure in zip(suspicious.rows, suspicious.answers, suspicious.confidences, strict=True):
        found.append(("suspicious", where[row], int(labels[row]), f"looks like {answer}, {sure:.1%}"))
    return found


def write_findings(output: Path, found: Sequence[Finding]) -> None:
    """Print the first findings of each kind, and write all of them."""
    for kind, words in (("repeated", "pictures are there more than once"), ("suspicious", "labels look wrong")):
        of_kind = [one for one in found if one[0] == kind]
        if of_kind:
            print(f"{len(of_kind):,} {words} (findings.csv):")
        for _, where, label, what in of_kind[:TOLD]:
            print(f"  {where}, label {label}: {what}")
    if found:
        Storage.open(output / "findings.csv").write_bytes(as_csv(("kind", "where", "label", "what"), found))


def as_csv(head: Sequence[str], rows: Sequence[Sequence[object]]) -> bytes:
    """A table as CSV."""
    buffer = io.StringIO()
    csv.writer(buffer).writerows([head, *rows])
    return buffer.getvalue().encode()


def write_all(output: Path, images: np.ndarray, labels: np.ndarray, held_out: np.ndarray) -> list[str]:
    """Write the shards, whole before the first is where training looks; removes what was kept for an interruption."""
    parts = output / "parts"
    parts.mkdir(parents=True, exist_ok=True)
    written = [
        path
        for prefix, rows in (("train", ~held_out), ("test", held_out))
        for path in write_shards(images[rows], labels[rows], parts, prefix)
    ]
    for path in written:
        path.replace(output / path.name)
    shutil.rmtree(parts)
    return [path.name for path in written]
