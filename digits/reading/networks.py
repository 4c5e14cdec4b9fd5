"""All that reading needs, loaded from one checkpoint folder: the digit network, the page network and its thresholds.

    CHECKPOINT/checkpoint.json, weights.npz    the digit network (see `digits.models.checkpoints`)
    CHECKPOINT/reader/                         the page network (see `digits.reading.reader`)

A checkpoint without a reader, as training leaves it, reads with the shipped one.
"""

import functools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import cv2
import numpy as np
from PIL import Image

from digits.errors import ConfigurationError, require
from digits.images import photo_with_size
from digits.models import checkpoints
from digits.models.checkpoints import Checkpoint
from digits.models.inference import Classifier, build_classifier
from digits.models.registry import SHIPPED
from digits.reading.answer import Reading
from digits.reading.detect import FINE_SIDE
from digits.reading.one_digit import read_photo, read_picture
from digits.reading.reader import READER, RECORD, Reader, require_picture
from digits.storage import Storage


@dataclass(frozen=True, kw_only=True, eq=False)
class Networks:
    """Both networks of a checkpoint, ready to read; safe to use from several threads."""

    checkpoint: Checkpoint
    classifier: Classifier
    """The digit network."""
    reader: Reader
    """The page network."""
    has_own_reader: bool
    """Whether the page network lies in the checkpoint's folder; otherwise it is the shipped one."""

    @classmethod
    def load(cls, path: str | Storage) -> Self:
        """Read and verify a checkpoint folder; CheckpointError says what is wrong with it."""
        return cls.of(checkpoints.load(path))

    @classmethod
    def of(cls, checkpoint: Checkpoint, *, threads: int = 1) -> Self:
        """The networks of a checkpoint, the page network read from its folder; each call uses so many threads."""
        folder = checkpoint.folder / READER
        own = (folder / RECORD).exists()
        return cls(
            checkpoint=checkpoint,
            classifier=build_classifier(checkpoint, threads),
            reader=Reader.load(folder if own else SHIPPED / READER, threads),
            has_own_reader=own,
        )

    def read(self, picture: bytes | Image.Image | np.ndarray, *, pictures: bool = False) -> Reading:
        """Every digit of a picture: the bytes of its file, a Pillow image, or uint8 (H, W, 3) RGB or (H, W).

        With `pictures`, each digit of a file comes with a picture of it. Raises NotADigit where there is none, or more
        than `reader.MOST_DIGITS`, images.UnreadableImage for bytes that are no picture, and ConfigurationError for
        other arrays.
        """
        classify = self.classifier.probabilities
        if isinstance(picture, bytes):
            return read_picture(picture, self.reader, classify, pictures=pictures)
        if isinstance(picture, Image.Image):
            require(
                min(picture.size) > 0, "the image has no pixels", "an image of at least one pixel", "check the image"
            )
            photo, size = photo_with_size(picture, longer_side=FINE_SIDE)
            return read_photo(photo, size, self.reader, classify)
        require_picture(picture)
        photo = picture if picture.ndim == 3 else cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB)
        return read_photo(photo, photo.shape[1::-1], self.reader, classify)


@functools.cache
def shipped() -> Networks:
    """The networks that come with digits, loaded once."""
    return Networks.load(str(SHIPPED))


def read(picture: str | os.PathLike[str] | bytes | Image.Image | np.ndarray) -> Reading:
    """Every digit of a picture, read with the networks that come with digits.

    `picture` is the path of a file, the bytes of one, a Pillow image, or an array uint8 (H, W, 3) RGB or (H, W). Raises
    NotADigit where there is none, or more than `reader.MOST_DIGITS`, images.UnreadableImage for a file that is no
    picture, and ConfigurationError for a path without a file and other arrays.
    """
    if isinstance(picture, str | os.PathLike):
        path = Path(picture)
        try:
            picture = path.read_bytes()
        except OSError as error:
            raise ConfigurationError(
                f"{path} cannot be read: {error.strerror}", "the path of a picture", "check the path"
            ) from error
    return shipped().read(picture)
