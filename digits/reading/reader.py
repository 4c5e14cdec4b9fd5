"""Reading a picture: find its digits, see how the sheet was turned, put them into lines and numbers.

Serving side: onnxruntime, NumPy and OpenCV; no Ray, TensorFlow or Keras. A reader is a folder, made by
jobs/train_reader.py, with an ONNX file and its record; it lies inside a checkpoint's (see `digits.reading.networks`).
"""

import hashlib
import json
import os
from dataclasses import dataclass, field
from typing import Any, Self

import cv2
import numpy as np

from digits.errors import CheckpointError, NotADigit, require
from digits.images import decode_with_size
from digits.reading.answer import ReadDigit, Reading
from digits.reading.confidence import Confidence
from digits.reading.detect import FINE_SIDE, Candidates, Detector
from digits.reading.ink_strength import with_strength
from digits.reading.lines import lines_of, numbers_of
from digits.reading.merge import MOST_FOUND, Found, Thresholds, likely, merged
from digits.reading.tight import shown
from digits.storage import Storage

READER = "reader"
"""Name of a reader's folder inside a checkpoint's."""
NETWORK, RECORD = "network.onnx", "reader.json"
FORMAT = 1
SCALES = ("confidence", "confidence_of_one")
"""Keys of a record under which it says how sure the reader sounds."""
TURNED_BY = 1.3
"""How much more sure a turned page must look than an upright one before it is turned."""
SURE = 0.65
"""Mean confidence of digits above which nobody asks whether the page lies turned; lower on simulated turned pages."""
LEAST_VOTE, LEAST_SHARE = 0.08, 0.1
"""What a map of turned centres must say, in all and as a share of the upright one, before that turn is read."""
SEEN = 0.2
"""Confidence from which a digit counts when it is decided which way up the page is."""
FAINTEST = 4
"""Grey levels between which a picture is blank."""
MOST_DIGITS = 1000
"""Digits of a picture that are read, five times what is promised: each costs time, so a picture of more is refused."""


@dataclass(kw_only=True, eq=False)
class Reader:
    """A page network with its thresholds, ready to read; safe to use from several threads."""

    detector: Detector
    thresholds: Thresholds
    confidence: Confidence = field(default_factory=Confidence)
    confidence_of_one: Confidence = field(default_factory=Confidence)
    """Of a picture of one digit, of what both networks answer together; jobs/pack.py fits it."""
    record: dict[str, Any]
    """How it was made, and what it scored."""

    @classmethod
    def load(cls, path: str | os.PathLike[str] | Storage, threads: int = 1) -> Self:
        """Read and verify a reader's folder; CheckpointError says what is wrong with it."""
        folder = path if isinstance(path, Storage) else Storage.open(path)
        try:
            record = json.loads((folder / RECORD).read_bytes())
            network = (folder / NETWORK).read_bytes()
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{folder} cannot be read: {error}", "a reader's folder") from error
        if not isinstance(record, dict) or record.get("format") != FORMAT:
            raise CheckpointError(f"{folder / RECORD} has another format", f"a JSON object with format {FORMAT}")
        digest = hashlib.sha256(network).hexdigest()
        hashes = record.get("sha256")
        expected = hashes.get(NETWORK) if isinstance(hashes, dict) else None
        if digest != expected:
            raise CheckpointError(f"{folder / NETWORK} is damaged: its SHA-256 is {digest}", f"SHA-256 {expected}")
        try:
            thresholds = Thresholds(**record["thresholds"])
            scales = {name: Confidence(**record[name]) for name in SCALES if name in record}
        except (KeyError, TypeError) as error:
            raise CheckpointError(
                f"{folder / RECORD} has no usable thresholds: {error!r}", "a reader's record"
            ) from error
        if not isinstance(record.get("name"), str) or not isinstance(record.get("simulated_pages"), dict):
            raise CheckpointError(f"{folder / RECORD} is incomplete", "the keys name and simulated_pages")
        return cls(detector=Detector(network, threads), thresholds=thresholds, record=record, **scales)

    def read(self, picture: np.ndarray | bytes) -> Reading:
        """Every digit of a picture: uint8 (H, W, 3) RGB, uint8 (H, W) grey, or the bytes of a picture file.

        Raises NotADigit where there is none, or more than MOST_DIGITS, images.UnreadableImage for bytes that are no
        picture, and ConfigurationError for other arrays.
        """
        if isinstance(picture, bytes):
            return self.read_photo(*decode_with_size(picture, longer_side=FINE_SIDE))
        require_picture(picture)
        return self._read(grey_of(picture), picture.shape[1::-1])

    def read_photo(self, photo: np.ndarray, size: tuple[int, int]) -> Reading:
        """As `read`, of a photo uint8 (H, W, 3) whose boxes are told in a frame of `size`, (width, height)."""
        return self._read(grey_of(photo), size)

    def _read(self, grey: np.ndarray, size: tuple[int, ...]) -> Reading:
        """Read a grey picture whose boxes are told in a frame of `size`, (width, height) in pixels."""
        if int(grey.max()) - int(grey.min()) < FAINTEST:
            raise NotADigit("the picture is blank", reason="blank")
        every, turn = self.find(grey)
        found = likely(every, self.thresholds)
        if not found:
            raise NotADigit("nothing in the picture is enough like a handwritten digit", reason="unlike")
        if len(found) > MOST_DIGITS or len(every) >= MOST_FOUND:
            raise too_many()
        digits, numbers = [], 0
        for line_number, line in enumerate(lines_of(found)):
            groups = numbers_of(line)
            for one, group in zip(line, groups, strict=True):
                box = box_in(one, turn, grey.shape, size)
                digits.append(
                    ReadDigit(
                        box=box,
                        digit=one.digit,
                        confidence=self.confidence(one.confidence),
                        probabilities=one.probabilities,
                        line=line_number,
                        number=numbers + group,
                    )
                )
            numbers += groups[-1] + 1
        return Reading(digits=tuple(digits), rotation=90 * turn)

    def find(self, grey: np.ndarray) -> tuple[list[Found], int]:
        """All that may be digits in a grey picture uint8 (H, W), in the frame of it turned upright; its quarter turns.

        A page that is not read surely as it lies is read turned too, as the maps of turned centres hint, and stays
        turned where that is much surer and shows several digits. Of two turns the one whose digits are surer on
        average wins a near tie: the other way up, an edge may be one more digit.
        """
        picture = shown(grey)
        found, turn = self._find(picture.grey)
        return picture.as_it_came(found), turn

    def _find(self, grey: np.ndarray) -> tuple[list[Found], int]:
        seen = self.detector.whole(grey, (0, 1, 2, 3))
        votes = [surety(merged(seen[seen.turns == turn], grey.shape)) for turn in range(4)]
        upright = self._closer(grey, seen[seen.turns == 0])
        best, best_turn = upright, 0
        if mean_confidence(upright) < SURE:
            hinted = [turn for turn in (1, 2, 3) if votes[turn] > max(LEAST_VOTE, LEAST_SHARE * votes[0])]
            for turn in hinted:
                turned = np.ascontiguousarray(np.rot90(grey, -turn))
                again = self._closer(turned, self.detector.whole(turned, (0,)))
                several = sum(one.confidence > SEEN for one in again) > 1
                if several and surety(again) > TURNED_BY * surety(upright) and worth(again) > worth(best):
                    best, best_turn = again, turn
        return with_strength(best, np.ascontiguousarray(np.rot90(grey, -best_turn))), best_turn

    def _closer(self, grey: np.ndarray, seen: Candidates) -> list[Found]:
        """Digits of one way up, small ones looked at again."""
        fine = self.detector.closer(grey, seen)
        finest = float(fine.scales[0]) if len(fine) else None
        return merged(Candidates.together([seen, fine]), grey.shape, finest)


def too_many() -> NotADigit:
    """The refusal of a picture of so many digits that an answer would lack some, or come too late."""
    return NotADigit(
        f"the picture shows more than {MOST_DIGITS:,} digits, or marks like digits",
        f"1 to {MOST_DIGITS:,} handwritten digits",
        "send it in parts, each a picture of its own",
        reason="too_many",
    )


def require_picture(picture: object) -> None:
    """Raise ConfigurationError for all but arrays uint8 (H, W, 3) and (H, W) of at least one pixel."""
    require(
        isinstance(picture, np.ndarray)
        and picture.dtype == np.uint8
        and picture.size > 0
        and (picture.ndim == 2 or (picture.ndim == 3 and picture.shape[2] == 3)),
        f"a picture of type {getattr(picture, 'dtype', type(picture).__name__)} "
        f"and shape {getattr(picture, 'shape', None)}",
        "uint8 (H, W, 3), RGB, or uint8 (H, W), or the bytes of a picture file",
        "convert it, for instance with numpy.asarray(image.convert('RGB'))",
    )


def surety(found: list[Found]) -> float:
    """How much a page looks as if it was read the right way up."""
    return sum(one.confidence**2 for one in found if one.confidence > SEEN)


def worth(found: list[Found]) -> float:
    """By which one turn of a page is preferred to another."""
    return surety(found) * mean_confidence(found)


def mean_confidence(found: list[Found]) -> float:
    """Of all that count; 0 where nothing does."""
    confidences = [one.confidence for one in found if one.confidence > SEEN]
    return float(np.mean(confidences)) if confidences else 0.0


def grey_of(picture: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3) RGB or (H, W) -> uint8 (H, W), at most FINE_SIDE along the longer side."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) if picture.ndim == 3 else picture
    scale = FINE_SIDE / max(grey.shape)
    if scale >= 1:
        return np.ascontiguousarray(grey)
    size = tuple(max(1, round(side * scale)) for side in grey.shape[::-1])
    return cv2.resize(grey, size, interpolation=cv2.INTER_AREA)


def box_in(found: Found, turn: int, shape: tuple[int, ...], size: tuple[int, ...]) -> tuple[float, float, float, float]:
    """Left, top, width and height in the picture as it came.

    Args:
        found: in the frame that was turned clockwise by `turn` quarter turns.
        turn: quarter turns.
        shape: height and width of the picture that was looked at, before it was turned.
        size: width and height of the picture as it came.
    """
    x, y, width, height = found.x, found.y, found.width, found.height
    rows, columns = shape if turn % 2 == 0 else shape[::-1]
    for _ in range(turn):  # counter-clockwise: the right edge becomes the top
        x, y, width, height = y, columns - x, height, width
        rows, columns = columns, rows
    scale_x, scale_y = size[0] / shape[1], size[1] / shape[0]
    left, top = max(0.0, (x - width / 2) * scale_x), max(0.0, (y - height / 2) * scale_y)
    right, bottom = min(float(size[0]), (x + width / 2) * scale_x), min(float(size[1]), (y + height / 2) * scale_y)
    return (left, top, max(0.0, right - left), max(0.0, bottom - top))


def write_reader(
    folder: Storage, network: bytes, thresholds: Thresholds, confidence: Confidence, record: dict[str, Any]
) -> None:
    """Write a reader's folder: the network, then the record with its SHA-256."""
    (folder / NETWORK).write_bytes(network)
    content = {
        "format": FORMAT,
        **record,
        "thresholds": vars(thresholds),
        "confidence": vars(confidence),
        "sha256": {NETWORK: hashlib.sha256(network).hexdigest()},
    }
    (folder / RECORD).write_bytes(json.dumps(content, indent=1, allow_nan=False).encode())
