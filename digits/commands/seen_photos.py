"""A folder of labelled photos as a network sees them, by both paths: shrunk as a whole, and prepared."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from digits.config import CHANNELS, IMAGE_SIZE
from digits.errors import PhotoFolderError, UnreadableImage
from digits.evaluation.metrics import NO_ANSWER, LabelledPredictions, Predict, evaluate
from digits.evaluation.photo_folder import LabelledPhoto
from digits.evaluation.photo_score import NO_DIGIT, prepared
from digits.images import Digits, decode_image, resize_photo
from digits.reporting.page import PhotoReading, thumbnail


@dataclass(frozen=True, kw_only=True)
class SeenPhotos:
    """A folder of photos as the network sees them."""

    names: list[str]
    thumbnails: list[np.ndarray]
    """uint8 (H, W, 3), reduced for the report."""
    labels: np.ndarray
    """int64 (N,)."""
    resized: np.ndarray
    """uint8 (N, 28, 28, 3): whole photos shrunk."""
    prepared: Digits
    """uint8 (N, 28, 28) and labels int64 (N,), NO_DIGIT where preparation found none."""

    def by_path(self) -> dict[str, Digits]:
        """Images and labels for each of factors.PATHS."""
        return {"resized": (self.resized, self.labels), "prepared": self.prepared}

    def predictions(self, predict: Predict, *, resize: bool) -> tuple[np.ndarray, LabelledPredictions]:
        """The images that one of the paths gives, and the network's predictions: none where no digit was found."""
        if resize:
            return self.resized, evaluate(predict, self.resized, self.labels)
        images, found = self.prepared
        probabilities = evaluate(predict, images, self.labels).probabilities
        probabilities[found == NO_DIGIT] = 0
        return images, LabelledPredictions(probabilities=probabilities, labels=self.labels)


def read_photos(folder: Path, photos: list[LabelledPhoto]) -> SeenPhotos:
    """Decode, resize and prepare all photos; one that cannot be read is a PhotoFolderError."""
    labels = np.array([photo.label for photo in photos], np.int64)
    seen = SeenPhotos(
        names=[str(photo.path.relative_to(folder)) for photo in photos],
        thumbnails=[],
        labels=labels,
        resized=np.zeros((len(photos), IMAGE_SIZE, IMAGE_SIZE, CHANNELS), np.uint8),
        prepared=(np.zeros((len(photos), IMAGE_SIZE, IMAGE_SIZE), np.uint8), labels.copy()),
    )
    for index, photo in enumerate(photos):
        try:
            picture = decode_image(photo.path.read_bytes())
        except UnreadableImage as error:
            raise PhotoFolderError(
                f"{photo.path} cannot be read: {error}", "a picture", "remove the file, or save it as PNG or JPEG"
            ) from error
        seen.thumbnails.append(thumbnail(picture))
        seen.resized[index] = resize_photo(picture)
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
