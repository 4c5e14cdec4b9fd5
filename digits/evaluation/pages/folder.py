"""Folders of pictures for reading pages: pages with the digits they show, and pictures that show none."""

import csv
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from digits.errors import NotADigit, PhotoFolderError, UnreadableImage
from digits.evaluation.pages.score import PageScore
from digits.evaluation.photo_folder import LABELS, files_of, rows_of, some_of
from digits.reading.answer import Reading


@dataclass(frozen=True, kw_only=True)
class LabelledPage:
    """A picture file and the digits it shows."""

    path: Path
    lines: tuple[str, ...]
    """Digits of each line, from top to bottom."""


@dataclass(frozen=True, kw_only=True)
class PageReading:
    """What was read of one picture."""

    path: Path
    reading: Reading | None
    """None where the picture was refused."""

    @property
    def lines(self) -> list[str]:
        """Digits of each line; no line where the picture was refused."""
        return self.reading.text.replace(" ", "").splitlines() if self.reading else []


def find_pages(folder: Path) -> list[LabelledPage]:
    """The pages of a folder, by labels.csv: columns file and text, lines joined by |, spaces ignored.

    Further columns are ignored. Raises PhotoFolderError for anything else.
    """
    table = folder / LABELS
    if not table.is_file():
        raise PhotoFolderError(
            f"there is no {table}", "a table of pages with the columns file and text", "add it, or name another folder"
        )
    pages = []
    try:
        with table.open(newline="", encoding="utf-8-sig") as lines:
            rows = rows_of(lines)
            if not {"file", "text"} <= set(rows.fieldnames or ()):
                raise PhotoFolderError(
                    f"{table} has the columns {rows.fieldnames}", "columns named file and text", "rename its columns"
                )
            for row in rows:
                pages.append(page_of(folder, row, f"{table}, line {rows.line_num}"))
    except (csv.Error, UnicodeDecodeError) as error:
        raise PhotoFolderError(f"{table} cannot be read: {error}", "a CSV file in UTF-8", "write it anew") from error
    if not pages:
        raise PhotoFolderError(f"{table} lists no pages", "one row for each page", "add rows, or name another folder")
    return sorted(pages, key=lambda page: page.path)


def page_of(folder: Path, row: dict[str, str | None], where: str) -> LabelledPage:
    """One row of the table; PhotoFolderError names where it stands."""
    path = folder / (row["file"] or "")
    if not path.is_file():
        raise PhotoFolderError(
            f"{where}: there is no file {path}",
            "files relative to the folder of the table",
            "correct the table or add the file",
        )
    text = re.sub(r"\s", "", row["text"] or "")
    lines = tuple(text.split("|"))
    if not re.fullmatch(r"[0-9]+(\|[0-9]+)*", text):
        raise PhotoFolderError(
            f"{where} says {row['text']!r}", "digits, lines joined by |, such as 13540|678", "correct the text"
        )
    return LabelledPage(path=path, lines=lines)


def find_pictures(folder: Path) -> tuple[list[Path], list[Path]]:
    """All pictures of a folder that shows no digits, and its other files; PhotoFolderError where no picture is."""
    if not folder.is_dir():
        raise PhotoFolderError(f"there is no folder {folder}", "a folder of pictures without digits", "check the path")
    pictures, others = files_of(folder)
    if not pictures:
        only = f", only {some_of(folder, others)}" if others else ""
        raise PhotoFolderError(f"{folder} holds no pictures{only}", "pictures without digits", "add some")
    return pictures, [path for path in others if path.name != LABELS]


def read_files(read: Callable[[bytes], Reading], paths: Sequence[Path]) -> list[PageReading]:
    """Read each picture file; PhotoFolderError for one that is no picture."""
    readings = []
    for path in paths:
        try:
            reading = read(path.read_bytes())
        except NotADigit:
            reading = None
        except UnreadableImage as error:
            raise PhotoFolderError(
                f"{path} cannot be read: {error}", "a picture", "remove the file, or save it as PNG or JPEG"
            ) from error
        readings.append(PageReading(path=path, reading=reading))
    return readings


def score_of(pages: Sequence[LabelledPage], readings: Sequence[PageReading]) -> PageScore:
    """How well labelled pages were read; a page that was refused counts all its digits as wrong."""
    return PageScore.of([one.lines for one in readings], [page.lines for page in pages])


def pages_csv(pages: Sequence[LabelledPage], readings: Sequence[PageReading]) -> str:
    """One row for each page: file, text, what was read, degrees it was turned."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(("file", "text", "read", "rotation"))
    for page, one in zip(pages, readings, strict=True):
        rotation = one.reading.rotation if one.reading else ""
        writer.writerow((page.path.name, "|".join(page.lines), "|".join(one.lines), rotation))
    return buffer.getvalue()
