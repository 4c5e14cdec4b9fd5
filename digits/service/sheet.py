"""The article's experiment on a photo of the sheet: its fifty digits, read by the model in service and by the baseline.

The baseline is the article's small network, trained as it was, and gets each box as the article's network got its
photos: shrunk whole to 28x28.
"""

import functools
import io
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from digits.errors import NoDigitFound
from digits.images import decode_image, resize_photo
from digits.models import checkpoints
from digits.models.inference import Classifier, build_classifier
from digits.models.registry import SHIPPED_BASELINE
from digits.reading.networks import Networks
from digits.reading.one_digit import look_at_box
from digits.sheet.boxes import Box, cut_boxes
from digits.sheet.find import SHEET_SIDE

SHOWN_SIDE = 84
"""Side of the picture of a box that people are shown, in pixels."""


@dataclass(frozen=True, kw_only=True, eq=False)
class BoxRead:
    """A box and what both networks say of it."""

    box: Box
    digit: int | None
    """What the model in service says; None for an empty box, or where no digit can be drawn from it."""
    confidence: float | None
    baseline: int | None
    """What the baseline says; None for an empty box."""

    def shown(self) -> bytes:
        """The box as a small JPEG file."""
        buffer = io.BytesIO()
        small = cv2.resize(self.box.picture, (SHOWN_SIDE, SHOWN_SIDE), interpolation=cv2.INTER_AREA)
        Image.fromarray(small).save(buffer, "JPEG", quality=80)
        return buffer.getvalue()


@dataclass(frozen=True, kw_only=True, eq=False)
class SheetRead:
    """The fifty boxes of a sheet, row by row."""

    boxes: list[BoxRead]

    @property
    def written(self) -> int:
        """How many boxes are not empty."""
        return sum(not one.box.empty for one in self.boxes)

    @property
    def read(self) -> int:
        """How many of them the model in service reads right."""
        return sum(one.digit == one.box.label for one in self.boxes)

    @property
    def baseline_read(self) -> int:
        """How many the baseline reads right."""
        return sum(one.baseline == one.box.label for one in self.boxes)


@functools.cache
def baseline() -> Classifier:
    """The article's small network, which comes with digits."""
    return build_classifier(checkpoints.load(str(SHIPPED_BASELINE)), 1)


def read_sheet(networks: Networks, data: bytes) -> SheetRead:
    """Read the sheet in a picture file; UnreadableImage, or SheetError where it shows no sheet that can be cut up."""
    boxes = cut_boxes(decode_image(data, longer_side=SHEET_SIDE))
    written = [box for box in boxes if not box.empty]
    answers = baseline().probabilities(np.stack([resize_photo(box.picture) for box in written])).argmax(axis=1)
    of_baseline = {(box.row, box.column): int(answer) for box, answer in zip(written, answers, strict=True)}
    return SheetRead(boxes=[read_box(networks, box, of_baseline.get((box.row, box.column))) for box in boxes])


def read_box(networks: Networks, box: Box, of_baseline: int | None) -> BoxRead:
    """Read one box, to which the baseline has answered."""
    if box.empty:
        return BoxRead(box=box, digit=None, confidence=None, baseline=None)
    try:
        probabilities = look_at_box(box.picture, networks.reader).answer(networks.classifier.answers)
    except NoDigitFound:
        return BoxRead(box=box, digit=None, confidence=None, baseline=of_baseline)
    digit = int(probabilities.argmax())
    return BoxRead(box=box, digit=digit, confidence=float(probabilities[digit]), baseline=of_baseline)
