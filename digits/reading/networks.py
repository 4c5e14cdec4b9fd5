"""All that reading needs, loaded from one checkpoint folder: the digit network, the page network and its thresholds.

    CHECKPOINT/checkpoint.json, weights.npz    the digit network (see `digits.models.checkpoints`)
    CHECKPOINT/reader/                         the page network (see `digits.reading.reader`)

A checkpoint without a reader, as training leaves it, reads with the shipped one.
"""

import contextlib
import functools
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import cv2
import numpy as np
from PIL import Image

from digits.errors import ConfigurationError, NoDigitFound, NotADigit, SeveralDigits, require
from digits.images import decode_with_size, photo_with_size
from digits.models import checkpoints
from digits.models.checkpoints import Checkpoint
from digits.models.inference import Classifier, build_classifier
from digits.models.registry import SHIPPED
from digits.preprocessing.prepare import TINY
from digits.reading.answer import ReadDigit, Reading
from digits.reading.confidence import log_odds
from digits.reading.cut_out import with_pictures
from digits.reading.detect import FINE_SIDE
from digits.reading.one_digit import UNTAUGHT, Box, Classify, Look, Rule, look_at, prepare_at, unlike
from digits.reading.reader import READER, RECORD, Reader, require_picture
from digits.storage import Storage

AROUND = 0.15
"""Paper around a page's digit when it is shown to the digit network, as a fraction of its longer side."""
CLOSER, FARTHER = 0.05, 0.3
"""The same, where the networks do not agree and it is shown twice more."""
SURE_ALONE = 0.98
"""Confidence of the page network in a single digit that stands although both together see none there."""
SURE_OF_PAGE = 3.0
"""Mean log-odds of a page's digits from which nobody asks whether they look strange."""
ASKED = 16
"""How many digits of such a page the digit network is shown."""
STRANGEST = -5.0
"""Familiarity of a place at which preparation finds nothing."""
LEAST = 1e-4
"""Added before probabilities are pooled, so that neither network forbids a digit."""


@dataclass(frozen=True, kw_only=True)
class Opinion:
    """What the digit network's word counts for on a page; chosen on simulated pages."""

    below: float
    """A digit to which the page network gives less probability is shown to the digit network, too."""
    weight: float
    """Of the digit network's logarithms in the pool, beside 1 for the page network's."""
    veto: bool
    """Whether what looks strange to it may be refused although the page network reads it."""


TOGETHER = Opinion(below=0.8, weight=0.75, veto=True)
"""Of a digit network that was packed together with the page network."""
APART = Opinion(below=0.6, weight=0.25, veto=False)
"""Of one that may be any, good or bad, beside the shipped page network."""


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
        if isinstance(picture, bytes):
            photo, size = decode_with_size(picture, longer_side=FINE_SIDE)
            reading = self._read_photo(photo, size)
            return with_pictures(reading, photo, size) if pictures else reading
        if isinstance(picture, Image.Image):
            require(
                min(picture.size) > 0, "the image has no pixels", "an image of at least one pixel", "check the image"
            )
            return self._read_photo(*photo_with_size(picture, longer_side=FINE_SIDE))
        require_picture(picture)
        photo = picture if picture.ndim == 3 else cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB)
        return self._read_photo(photo, photo.shape[1::-1])

    def _read_photo(self, photo: np.ndarray, size: tuple[int, int]) -> Reading:
        opinion = TOGETHER if self.has_own_reader else APART
        if self.classifier.usual_energy is None:  # of before: what looks strange to it is not known
            opinion = replace(opinion, veto=False)
        return read_photo(photo, size, self.reader, self.classifier.answers, opinion)


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


def read_photo(
    photo: np.ndarray, size: tuple[int, int], reader: Reader, classify: Classify, opinion: Opinion
) -> Reading:
    """Every digit of a photo, uint8 (H, W, 3); a single one is read as `look_at` and `Look.judge` do.

    Boxes are told in a frame of `size`, (width, height). Raises NotADigit where there is none, or too many.
    """
    refusal: NotADigit | None = None
    try:
        reading: Reading | None = reader.read_photo(photo, size)
    except NotADigit as error:
        if error.reason == "too_many":
            raise
        reading, refusal = None, error
    if reading is not None and len(reading.digits) > 1 and opinion.veto and is_strange(reading, photo, size, classify):
        reading, refusal = None, unlike()
    if reading is not None and len(reading.digits) > 1:
        seconds = (second_look(one, photo, size, reading.rotation // 90, classify, opinion) for one in reading.digits)
        return replace(reading, digits=tuple(seconds))
    look: Look | None = None
    try:
        look = look_at(photo, reader)
        probabilities = look.answer(classify)
    except (NoDigitFound, SeveralDigits, NotADigit) as error:
        if reading is None:
            assert refusal is not None
            raise refusal from None
        if look is not None and opinion.veto and reading.digits[0].confidence < SURE_ALONE:
            raise error from None
        return reading
    return Reading(digits=(_alone(look, probabilities, reading, size),), rotation=0)


def is_strange(reading: Reading, photo: np.ndarray, size: tuple[int, int], classify: Classify) -> bool:
    """Whether what is read of a page, none too surely, looks to the digit network as letters and signs do.

    Pictures so tiny that the digits in them have few pixels are never strange.
    """
    surely = np.array([log_odds(one.confidence) for one in reading.digits])
    if surely.mean() >= SURE_OF_PAGE or max(photo.shape[:2]) <= TINY:
        return False
    asked = np.unique(np.linspace(0, len(surely) - 1, ASKED).round().astype(int))
    familiarity, rule = np.full(len(asked), STRANGEST), UNTAUGHT
    images = {}
    for place, row in enumerate(asked):
        with contextlib.suppress(NoDigitFound):
            box = fractions_of(reading.digits[row], size)
            images[place] = prepare_at(photo, box, AROUND, reading.rotation // 90).image
    if images:
        answers = classify(np.stack([*images.values()]))
        familiarity[list(images)], rule = answers.familiarity, Rule.of(answers)
    return bool(np.mean(surely[asked] + rule.familiar * familiarity) < rule.enough_of_page)


def fractions_of(one: ReadDigit, size: tuple[int, int]) -> Box:
    """Where a digit stands, as fractions of a picture of this width and height."""
    left, top, width, height = one.box
    return left / size[0], top / size[1], (left + width) / size[0], (top + height) / size[1]


def second_look(
    one: ReadDigit,
    photo: np.ndarray,
    size: tuple[int, int],
    turns: int,
    classify: Classify,
    opinion: Opinion,
) -> ReadDigit:
    """A digit of a page, by the digit network too where the page network is unsure which one it is.

    Where they do not agree, the digit network is shown the place with less and with more paper around, too. If it does
    not say the same each time, a neighbour or a ruling looks in, and its word counts for nothing.
    """
    if one.probabilities.max() >= opinion.below:
        return one
    box = fractions_of(one, size)

    def said(*around: float) -> np.ndarray:
        return classify(np.stack([prepare_at(photo, box, each, turns).image for each in around])).probabilities

    try:
        word = said(AROUND)
        if word[0].argmax() != one.digit:
            word = np.concatenate([word, said(CLOSER, FARTHER)])
    except NoDigitFound:
        return one
    if len(set(word.argmax(axis=1))) > 1:
        return one
    pooled = (one.probabilities + LEAST) * (word.mean(axis=0) + LEAST) ** opinion.weight
    return replace(one, digit=int(pooled.argmax()), probabilities=(pooled / pooled.sum()).astype(np.float32))


def _alone(look: Look, probabilities: np.ndarray, reading: Reading | None, size: tuple[int, int]) -> ReadDigit:
    """The only digit of a picture of this width and height."""
    left, top, right, bottom = np.array(look.box) * (*size, *size)
    digit = int(probabilities.argmax())
    return ReadDigit(
        box=reading.digits[0].box if reading else (left, top, right - left, bottom - top),
        digit=digit,
        confidence=float(probabilities[digit]),
        probabilities=probabilities,
        line=0,
        number=0,
        seen=look.image,
    )
