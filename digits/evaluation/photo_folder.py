"""A folder of labelled photos: which files there are, and what digit each one shows."""

import csv
import mimetypes
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from digits.errors import PhotoFolderError
from digits.images import is_picture

LABELS = "labels.csv"
DIGITS = "0123456789"
NAMED = 5
"""How many files are named where there may be many."""
HEAD_BYTES = 65536
"""Of a file, to see whether it is a picture."""
_KINDS = mimetypes.MimeTypes()  # Python's own table, the same on every machine


@dataclass(frozen=True, kw_only=True)
class LabelledPhoto:
    """A picture and the digit it shows: a file, or a box of a file that shows a sheet of them."""

    path: Path
    label: int
    box: str = ""
    """Which box of a sheet it is; empty for a photo of one digit."""
    data: bytes | None = None
    """Of a box, as a picture file."""

    @property
    def where(self) -> str:
        """For people: its path, and its box."""
        return f"{self.path}, {self.box}" if self.box else str(self.path)

    def read(self) -> bytes:
        """The bytes of the picture."""
        return self.path.read_bytes() if self.data is None else self.data


def find_photos(folder: Path) -> tuple[list[LabelledPhoto], list[Path]]:
    """The labelled photos of a folder, sorted by path, and what else lies there: no pictures, or without a label.

    Labels come from labels.csv (columns file and label, further ones are ignored), or from folders named 0 to 9, or
    from file names that begin with the digit. Raises PhotoFolderError where no photo has one, or a table is wrong.
    """
    if not folder.is_dir():
        raise PhotoFolderError(f"there is no folder {folder}", "a folder of labelled photos", "check the path")
    photos: list[LabelledPhoto]
    stray: list[Path] = []
    if (folder / LABELS).is_file():
        photos = list(from_table(folder))
    elif any((folder / str(digit)).is_dir() for digit in range(10)):
        photos, stray = from_folders(folder)
    else:
        photos, stray = from_names(folder)
    if not photos:
        raise PhotoFolderError(
            f"{folder} holds no labelled photos" + (f", only {some_of(folder, stray)}" if stray else ""),
            f"{LABELS} with columns file and label, or folders named 0 to 9, or files whose names begin with the digit",
            "label the photos in one of these ways, or name another folder",
        )
    return sorted(photos, key=lambda photo: photo.path), stray


def some_of(folder: Path, paths: Sequence[Path]) -> str:
    """The names of some paths inside a folder."""
    names = [str(path.relative_to(folder)) for path in paths[:NAMED]]
    return ", ".join(names) + (f" and {len(paths) - NAMED:,} more" if len(paths) > NAMED else "")


def from_table(folder: Path) -> Iterator[LabelledPhoto]:
    """Photos listed in labels.csv, whose files are relative to the folder."""
    table = folder / LABELS
    try:
        with table.open(newline="", encoding="utf-8-sig") as lines:
            rows = rows_of(lines)
            if not {"file", "label"} <= set(rows.fieldnames or ()):
                raise PhotoFolderError(
                    f"{table} has the columns {rows.fieldnames}",
                    "columns named file and label, with commas between",
                    "rename its columns, or save it with commas",
                )
            for row in rows:
                path = folder / (row["file"] or "")
                if not path.is_file():
                    raise PhotoFolderError(
                        f"{table}, line {rows.line_num}: there is no file {path}",
                        "files relative to the folder of the table",
                        "correct the table or add the file",
                    )
                yield LabelledPhoto(path=path, label=parse_label(row["label"], f"{table}, line {rows.line_num}"))
    except (csv.Error, UnicodeDecodeError) as error:
        raise PhotoFolderError(
            f"{table} cannot be read: {error}", "a CSV file in UTF-8", "save it again as CSV in UTF-8"
        ) from error


def rows_of(table: TextIO) -> "csv.DictReader[str]":
    """The rows of a CSV table; a spreadsheet puts semicolons between values where the comma is a decimal point."""
    header = table.readline()
    table.seek(0)
    return csv.DictReader(table, delimiter=";" if ";" in header and "," not in header else ",")


def from_folders(folder: Path) -> tuple[list[LabelledPhoto], list[Path]]:
    """Photos in folders named 0 to 9, and files there or beside these folders that are none."""
    pictures, others = files_of(folder)
    photos, stray = [], sorted(pictures + others)
    for digit in range(10):
        pictures, others = files_of(folder / str(digit))
        photos += [LabelledPhoto(path=path, label=digit) for path in pictures]
        stray += others
    return photos, stray


def from_names(folder: Path) -> tuple[list[LabelledPhoto], list[Path]]:
    """Photos whose names begin with their digit, directly in the folder, and files there that are none."""
    pictures, others = files_of(folder)
    photos = [LabelledPhoto(path=path, label=int(path.name[0])) for path in pictures if path.name[0] in DIGITS]
    return photos, sorted(others + [path for path in pictures if path.name[0] not in DIGITS])


def files_of(folder: Path) -> tuple[list[Path], list[Path]]:
    """The pictures and the other files directly in a folder, sorted, hidden ones left out.

    A picture has the name of one, or begins like one. Whether it can be read is seen later.
    """
    files = [path for path in sorted(folder.glob("*")) if path.is_file() and not path.name.startswith(".")]
    pictures = [path for path in files if is_photo(path)]
    return pictures, [path for path in files if path not in set(pictures)]


def is_photo(path: Path) -> bool:
    """Whether a file is called as a picture, of whatever format, or begins like one of those that are read here."""
    kind, _ = _KINDS.guess_type(path.name, strict=False)
    if kind:
        return kind.startswith("image/")
    with path.open("rb") as file:
        return is_picture(file.read(HEAD_BYTES))


def parse_label(text: str | None, where: str) -> int:
    """A label 0..9 from text; PhotoFolderError, naming `where` it stands, if it is none."""
    text = (text or "").strip()
    if len(text) == 1 and text in DIGITS:
        return int(text)
    raise PhotoFolderError(
        f"{where} says {text!r}",
        "a digit 0 to 9: in labels.csv (columns file, label), as the name of a folder, or first in the file name",
        "label the photo in one of these ways",
    )
