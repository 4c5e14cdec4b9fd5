"""A folder of labelled photos: which files there are, and what digit each one shows."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from digits.errors import PhotoFolderError

LABELS = "labels.csv"


@dataclass(frozen=True, kw_only=True)
class LabelledPhoto:
    """A picture file and the digit it shows."""

    path: Path
    label: int


def find_photos(folder: Path) -> list[LabelledPhoto]:
    """The labelled photos of a folder, sorted by path.

    Labels come from labels.csv (columns file and label, further ones are ignored), or from folders named 0 to 9, or
    from file names that begin with the digit. Raises PhotoFolderError for anything else.
    """
    if not folder.is_dir():
        raise PhotoFolderError(f"there is no folder {folder}", "a folder of labelled photos", "check the path")
    if (folder / LABELS).is_file():
        photos = list(from_table(folder))
    elif any((folder / str(digit)).is_dir() for digit in range(10)):
        photos = list(from_folders(folder))
    else:
        photos = list(from_names(folder))
    if not photos:
        raise PhotoFolderError(
            f"{folder} holds no photos",
            f"{LABELS} with columns file and label, or folders named 0 to 9, or files whose names begin with the digit",
            "add labelled photos, or name another folder",
        )
    return sorted(photos, key=lambda photo: photo.path)


def from_table(folder: Path) -> Iterator[LabelledPhoto]:
    """Photos listed in labels.csv, whose files are relative to the folder."""
    table = folder / LABELS
    try:
        with table.open(newline="", encoding="utf-8-sig") as lines:
            rows = csv.DictReader(lines)
            if not {"file", "label"} <= set(rows.fieldnames or ()):
                raise PhotoFolderError(
                    f"{table} has the columns {rows.fieldnames}", "columns named file and label", "rename its columns"
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


def from_folders(folder: Path) -> Iterator[LabelledPhoto]:
    """Photos in folders named 0 to 9."""
    for digit in range(10):
        for path in sorted((folder / str(digit)).glob("*")):
            if is_photo(path):
                yield LabelledPhoto(path=path, label=digit)


def from_names(folder: Path) -> Iterator[LabelledPhoto]:
    """Photos whose names begin with their digit, directly in the folder."""
    for path in sorted(folder.glob("*")):
        if is_photo(path):
            yield LabelledPhoto(path=path, label=parse_label(path.name[0], f"{path} has no label: its name"))


def is_photo(path: Path) -> bool:
    """Whether a path may be a photo: a file that is not hidden. Whether it can be read is seen later."""
    return path.is_file() and not path.name.startswith(".")


def parse_label(text: str | None, where: str) -> int:
    """A label 0..9 from text; PhotoFolderError, naming `where` it stands, if it is none."""
    text = (text or "").strip()
    if len(text) == 1 and text in "0123456789":
        return int(text)
    raise PhotoFolderError(
        f"{where} says {text!r}",
        "a digit 0 to 9: in labels.csv (columns file, label), as the name of a folder, or first in the file name",
        "label the photo in one of these ways",
    )
