"""Labelled photos as people have them: a folder, also one with photos of filled sheets in it, or one such photo.

A sheet is told by its marks, whatever its file is called, unless labels.csv or folders say what each photo shows.
"""

from dataclasses import dataclass
from pathlib import Path

from digits.errors import PhotoFolderError, SheetError, UnreadableImage
from digits.evaluation.photo_folder import LABELS, LabelledPhoto, files_of, find_photos, from_names
from digits.images import decode_image, encode_png, upright_size
from digits.sheet.boxes import cut_boxes
from digits.sheet.find import LEAST_SIDE, SHEET_SIDE, find_marks


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """What is found at a path."""

    photos: list[LabelledPhoto]
    stray: list[Path]
    """Files that are no pictures, or that have no label."""
    empty: list[str]
    """Boxes of sheets that nothing is written in, as people call them."""


def find_labelled(path: Path) -> Labelled:
    """The labelled photos of a folder, or the boxes of one photo of a sheet.

    PhotoFolderError where there is none, SheetError for a photo of a sheet that cannot be cut up.
    """
    if path.is_file():
        photos, empty = boxes_of(path)
        return Labelled(photos=photos, stray=[], empty=empty)
    sheets = []
    if path.is_dir() and not (path / LABELS).is_file() and not any((path / str(digit)).is_dir() for digit in range(10)):
        sheets = [picture for picture in files_of(path)[0] if is_sheet(picture)]
    if not sheets:
        photos, stray = find_photos(path)
        return Labelled(photos=photos, stray=stray, empty=[])
    photos, stray = from_names(path)
    photos, empty = [photo for photo in photos if photo.path not in sheets], []
    for sheet in sheets:
        written, left = boxes_of(sheet)
        photos += written
        empty += left
    stray = [file for file in stray if file not in sheets]
    return Labelled(photos=sorted(photos, key=lambda photo: photo.path), stray=stray, empty=empty)


def is_sheet(path: Path) -> bool:
    """Whether a picture file shows a sheet."""
    data = path.read_bytes()
    try:
        return max(upright_size(data)) >= LEAST_SIDE and find_marks(decode_image(data, longer_side=SHEET_SIDE)).is_sheet
    except UnreadableImage:
        return False


def boxes_of(path: Path) -> tuple[list[LabelledPhoto], list[str]]:
    """The written boxes of a photo of a sheet, and the names of the empty ones; an error names the file."""
    try:
        boxes = cut_boxes(decode_image(path.read_bytes(), longer_side=SHEET_SIDE))
    except UnreadableImage as error:
        raise PhotoFolderError(f"{path} cannot be read: {error.happened}", error.expected, error.remedy) from error
    except SheetError as error:
        other = "; or name a folder of labelled photos" if error.reason == "not_a_sheet" else ""
        remedy = error.remedy + other
        raise SheetError(f"{path}: {error.happened}", error.expected, remedy, reason=error.reason) from error
    written = [
        LabelledPhoto(path=path, label=box.label, box=box.name, data=encode_png(box.picture))
        for box in boxes
        if not box.empty
    ]
    return written, [f"{path.name}, {box.name}" for box in boxes if box.empty]
