"""Which pictures a command line names: files, folders with all that is in them, and the same in buckets."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pyarrow import fs

from digits.errors import require
from digits.evaluation.photo_folder import LABELS, is_photo
from digits.storage import Storage
from digits.uris import is_uri, public


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One file that is to be read."""

    name: str
    """As the output names it: its path as it was given, or its URI without keys."""
    file: Storage


def find_pictures(named: Sequence[str]) -> tuple[list[Picture], list[str]]:
    """The pictures at some paths and URIs, sorted, each once, and the names of other files in these folders.

    ConfigurationError for a path where nothing is, and where no picture is found.
    """
    pictures: dict[str, Picture] = {}
    stray: list[str] = []
    for path in named:
        for picture, is_one in in_bucket(path) if is_uri(path) else on_disk(path):
            if is_one:
                pictures[picture.name] = picture
            else:
                stray.append(picture.name)
    require(
        bool(pictures),
        f"no pictures in {', '.join(public(path) for path in named)}",
        "files of pictures, or folders or buckets that hold some",
        "check the paths",
    )
    return [pictures[name] for name in sorted(pictures)], sorted(stray)


def on_disk(path: str) -> Iterable[tuple[Picture, bool]]:
    """The files at a local path, hidden ones left out, and whether each is a picture; a file that is named is one."""
    root = Path(path).expanduser()
    require(root.exists(), f"there is no {root}", "a picture, or a folder of pictures", "check the path")
    if root.is_file():
        return [(Picture(name=str(root), file=Storage.open(root)), True)]
    files = (file for file in sorted(root.rglob("*")) if file.is_file() and not is_hidden(file.relative_to(root).parts))
    return [(Picture(name=str(file), file=Storage.open(file)), is_photo(file)) for file in files if file.name != LABELS]


def in_bucket(uri: str) -> Iterable[tuple[Picture, bool]]:
    """The same for a URI; by their names alone, since each look into a file costs a request."""
    root = Storage.open(uri)
    if root.is_file():
        return [(Picture(name=str(root), file=root), True)]
    found = root.filesystem.get_file_info(fs.FileSelector(root.path, recursive=True, allow_not_found=True))
    inside = [info.path[len(root.path) :].strip("/") for info in found if info.type == fs.FileType.File]
    require(bool(inside), f"nothing is in {root}", "a picture, or a folder of pictures", "check the URI")
    names = [name for name in sorted(inside) if not is_hidden(name.split("/")) and not name.endswith(LABELS)]
    return [(Picture(name=str(root / name), file=root / name), is_named_as_picture(name)) for name in names]


def is_named_as_picture(name: str) -> bool:
    """Whether a file's name says that it is a picture."""
    return name.lower().endswith(SUFFIXES)


def is_hidden(parts: Sequence[str]) -> bool:
    """Whether a file, or a folder on the way to it, has a name that begins with a dot."""
    return any(part.startswith(".") for part in parts)


SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".avif", ".qoi"),
    *(".heic", ".heif", ".hif"),
)
"""Ends of the names of pictures; one that cannot be read is told of when it is read."""
