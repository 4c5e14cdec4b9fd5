"""A folder of labelled photos as networks see them: shrunk as a whole, prepared, and as the service looks at them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from digits.config import CHANNELS, IMAGE_SIZE, NUM_CLASSES
from digits.errors import NoDigitFound, NotADigit, PhotoFolderError, SeveralDigits, UnreadableImage
from digits.evaluation.metrics import NO_ANSWER, LabelledPredictions, evaluate
from digits.evaluation.photo_folder import LabelledPhoto, some_of
from digits.evaluation.photo_score import prepared
from digits.evaluation.photo_sheets import find_labelled
from digits.images import Digits, decode_image, resize_photo
from digits.models.inference import Classifier
from digits.reading.one_digit import Classify, Look, look_at, look_at_box
from digits.reading.reader import Reader
from digits.reporting.page import PhotoReading, thumbnail

TOLD = 10
"""How many empty boxes are named."""


def labelled_at(path: Path) -> list[LabelledPhoto]:
    """The labelled photos at a path, a folder or a photo of a sheet; lines tell what is left out."""
    found = find_labelled(path)
    if found.stray:
        left = some_of(path, found.stray)
        print(f"left out of {path}, no pictures or without a label: {left}", flush=True)
    if found.empty:
        more = f" and {len(found.empty) - TOLD:,} more" if len(found.empty) > TOLD else ""
        print(f"left out, empty boxes: {'; '.join(found.empty[:TOLD])}{more}", flush=True)
    return found.photos


@dataclass(frozen=True, kw_only=True)
class SeenPhotos:
    """A folder of photos as networks see them."""

    names: list[str]
    thumbnails: list[np.ndarray]
    """uint8 (H, W, 3), reduced for the report."""
    labels: np.ndarray
    """int64 (N,)."""
    resized: np.ndarray
    """uint8 (N, 28, 28, 3): whole photos shrunk."""
    prepared: Digits
    """uint8 (N, 28, 28) and labels int64 (N,), NO_DIGIT where preparation found none."""
    looks: list[Look | None]
    """What the service makes of each with both networks; None where it refuses to answer."""

    def by_path(self) -> dict[str, Digits]:
        """Images and labels for each of factors.PATHS."""
        return {"resized": (self.resized, self.labels), "prepared": self.prepared}

    def predictions(self, network: Classifier, *, resize: bool) -> tuple[np.ndarray, LabelledPredictions]:
        """What a network sees of each photo, and its predictions: shrunk whole, or as the service answers.

        The service's refusals are no answers, and so wrong.
        """
        if resize:
            return self.resized, evaluate(network.probabilities, self.resized, self.labels)
        blank = np.zeros((IMAGE_SIZE, IMAGE_SIZE), np.uint8)
        images = np.stack([look.image if look else blank for look in self.looks])
        probabilities = np.stack([answered(look, network.answers) for look in self.looks])
        return images, LabelledPredictions(probabilities=probabilities, labels=self.labels)


def answered(look: Look | None, classify: Classify) -> np.ndarray:
    """The service's probabilities, float32 (10,); zeros where it gives no answer."""
    try:
        return look.answer(classify) if look else np.zeros(NUM_CLASSES, np.float32)
    except NotADigit:
        return np.zeros(NUM_CLASSES, np.float32)


def looked_at(photo: np.ndarray, reader: Reader, *, is_box: bool) -> Look | None:
    """What the service makes of a photo, uint8 (H, W, 3), before it asks the digit network; None for a refusal.

    What stands in a box of a sheet is known to be a digit.
    """
    try:
        return look_at_box(photo, reader) if is_box else look_at(photo, reader)
    except (NoDigitFound, NotADigit, SeveralDigits):
        return None


def name_in(folder: Path, file: Path) -> str:
    """The path of a file below a folder; its whole path where it lies elsewhere."""
    return str(file.relative_to(folder) if file.is_relative_to(folder) else file)


def read_photos(folder: Path, photos: list[LabelledPhoto], reader: Reader) -> SeenPhotos:
    """Decode, resize, prepare and look at all photos; one that cannot be read is a PhotoFolderError.

    They are named by where they are in `folder`; those that its labels.csv names elsewhere, by their whole path.
    """
    labels = np.array([photo.label for photo in photos], np.int64)
    seen = SeenPhotos(
        names=[name_in(folder, Path(photo.where)) for photo in photos],
        thumbnails=[],
        labels=labels,
        resized=np.zeros((len(photos), IMAGE_SIZE, IMAGE_SIZE, CHANNELS), np.uint8),
        prepared=(np.zeros((len(photos), IMAGE_SIZE, IMAGE_SIZE), np.uint8), labels.copy()),
        looks=[],
    )
    for index, photo in enumerate(photos):
        try:
            picture = decode_image(photo.read())
        except UnreadableImage as error:
            raise PhotoFolderError(
                f"{photo.where} cannot be read: {error}", "a picture", "remove the file, or save it as PNG or JPEG"
            ) from error
        seen.thumbnails.append(thumbnail(picture))
        seen.resized[index] = resize_photo(picture)
        seen.looks.append(looked_at(picture, reader, is_box=bool(photo.box)))
        one, found = prepared([picture], labels[index : index + 1])
        seen.prepared[0][index], seen.prepared[1][index] = one[0], found[0]
    return seen


def readings_of(photos: SeenPhotos, images: np.ndarray, predictions: LabelledPredictions) -> list[PhotoReading]:
    """The rows of the report's table of photos."""
    return [
        PhotoReading(
            name=photos.names[index],
            photo=photos.thumbnails[index],
            seen=images[index],
            label=int(photos.labels[index]),
            answer=None if predictions.answers[index] == NO_ANSWER else int(predictions.answers[index]),
            confidence=float(predictions.confidences[index]),
        )
        for index in range(len(images))
    ]
