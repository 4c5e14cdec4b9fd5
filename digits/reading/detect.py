"""From a grey picture to candidates: the page network at several scales, and what its scales agree on.

The scales halve from one to the next, so that every digit is seen at two of them in a size that the network knows. The
finest scale is looked at only around digits that are too small to be read well at the second.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
import onnxruntime
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidGraph, InvalidProtobuf

from digits.errors import CheckpointError
from digits.models.page_targets import DIGITS, SCALE, SIZES, STRIDE, TURNS
from digits.preprocessing.local_contrast import local_contrast

WHOLE_SIDE = 1000
"""Longer side of the largest scale that is always looked at, in pixels."""
FINE_SIDE = 1800
"""Longer side of the finest scale, in pixels."""
SMALL_SIDE = 120
"""Pictures with a shorter longer side, in pixels, are enlarged twice before they are looked at."""
SMALLEST_SIDE = 24
"""Longer side of the smallest scale, in pixels: a digit that fills the picture is read there."""
STEP = 2.0
"""From scale to scale."""
MARGIN = 16
"""Empty border around what the network sees, in pixels."""
MULTIPLE = 32
"""Sides of what the network sees are multiples of this."""
KNOWN = (10.0, 62.0)
"""Longer sides of digits that one scale may report, in pixels."""
BEST = (20.0, 44.0)
"""Longer sides at which the network reads best, in pixels."""
TOO_SMALL = 15.0
"""Digits below this, in pixels, are looked at again at the finest scale."""
WORTH_A_LOOK = 0.3
"""Probability of a centre from which a digit that is too small is looked at again."""
LEAST_PEAK = 0.12
"""Probability of a centre below which nothing is noted."""


@dataclass(kw_only=True, eq=False)
class Candidates:
    """N places where one or several scales saw a digit; arrays with N rows."""

    boxes: np.ndarray
    """float32 (N, 4): middle x, middle y, width and height, in pixels of the picture."""
    peaks: np.ndarray
    """float32 (N,): probability of a centre."""
    fits: np.ndarray
    """float32 (N,): how well the size suits the scale, 0..1."""
    digits: np.ndarray
    """float32 (N, 10): probabilities of the digits."""
    turns: np.ndarray
    """int64 (N,): quarter turns, counter-clockwise, by which the digit lies turned."""
    scales: np.ndarray
    """float32 (N,): pixels of the scale for one of the picture."""

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, rows: np.ndarray) -> "Candidates":
        return Candidates(**{name: array[rows] for name, array in vars(self).items()})

    @classmethod
    def together(cls, parts: list["Candidates"]) -> "Candidates":
        """All of several; no part gives none."""
        parts = parts or [cls.of(np.zeros((0, 18), np.float32), np.zeros((0, 3), np.int64), 1.0)]
        return cls(**{name: np.concatenate([vars(part)[name] for part in parts]) for name in vars(parts[0])})

    @classmethod
    def of(cls, answers: np.ndarray, places: np.ndarray, scale: float) -> "Candidates":
        """From answers float32 (N, 18) at places int64 (N, 3): turn, row, column; with the margin still in them."""
        size = SCALE * np.exp(np.clip(answers[:, SIZES.start : SIZES.start + 2], -3, 2))
        shift = np.clip(answers[:, SIZES.start + 2 : SIZES.stop], -2, 2)
        middle = (places[:, :0:-1] + 0.5 + shift) * STRIDE - MARGIN
        logits = answers[:, DIGITS] - answers[:, DIGITS].max(1, keepdims=True)
        probabilities = np.exp(logits)
        longer = size.max(1)
        fits = np.minimum(1, longer / BEST[0]) ** 0.7 * np.minimum(1, BEST[1] / longer)
        centres = answers[np.arange(len(places)), TURNS.start + places[:, 0]]
        return cls(
            boxes=(np.concatenate([middle, size], 1) / scale).astype(np.float32),
            peaks=1 / (1 + np.exp(-centres)),
            fits=fits.astype(np.float32),
            digits=probabilities / probabilities.sum(1, keepdims=True),
            turns=places[:, 0],
            scales=np.full(len(places), scale, np.float32),
        )


class Detector:
    """The page network in onnxruntime; CheckpointError for a file that holds none."""

    def __init__(self, onnx_file: bytes, threads: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = threads
        options.log_severity_level = 3
        options.enable_mem_pattern = False  # a plan of memory for each size of picture: 45 MB more, and no quicker
        try:
            self.session = onnxruntime.InferenceSession(onnx_file, options, providers=["CPUExecutionProvider"])
        except (Fail, InvalidGraph, InvalidProtobuf) as error:
            raise CheckpointError(f"the page network cannot be run: {error}", "an ONNX file of digits") from error

    def answer(self, grey: np.ndarray) -> np.ndarray:
        """uint8 (H, W) -> float32 (18, rows, columns), the margin included."""
        height, width = (-(-(side + 2 * MARGIN) // MULTIPLE) * MULTIPLE for side in grey.shape)
        maps = np.zeros((1, 2, height, width), np.float32)
        maps[0, :, MARGIN : MARGIN + grey.shape[0], MARGIN : MARGIN + grey.shape[1]] = local_contrast(grey).transpose(
            2, 0, 1
        )
        return self.session.run(None, {"maps": maps})[0][0]

    def at_scale(self, grey: np.ndarray, scale: float, turns: tuple[int, ...]) -> Candidates:
        """Candidates of one scale of a picture uint8 (H, W), for pages that lie turned in these ways."""
        answer = self.answer(resized(grey, scale))
        peaks = []
        for turn in turns:
            centres = answer[turn]
            highest = cv2.dilate(centres, np.ones((3, 3), np.uint8))
            least = math.log(LEAST_PEAK / (1 - LEAST_PEAK))
            rows, columns = np.nonzero((centres >= highest) & (centres > least))
            peaks.append(np.stack([np.full_like(rows, turn), rows, columns], 1))
        places = np.concatenate(peaks)
        found = Candidates.of(answer[:, places[:, 1], places[:, 2]].T, places, scale)
        longer = found.boxes[:, 2:].max(1) * scale
        return found[(longer >= KNOWN[0]) & (longer <= KNOWN[1])]

    def whole(self, grey: np.ndarray, turns: tuple[int, ...]) -> Candidates:
        """Candidates of all scales at which the whole picture is looked at."""
        return Candidates.together([self.at_scale(grey, scale, turns) for scale in scales_of(grey.shape)])

    def closer(self, grey: np.ndarray, seen: Candidates) -> Candidates:
        """Candidates at the finest scale, around those that were seen, but too small."""
        longer_side = max(grey.shape)
        fine, first = min(1.0, FINE_SIDE / longer_side), scales_of(grey.shape)[0]
        sizes = seen.boxes[:, 2:].max(1)
        tiny = (sizes * first < TOO_SMALL) & (seen.scales == np.float32(first)) & (seen.peaks > WORTH_A_LOOK)
        small = seen.boxes[tiny]
        if fine < 1.15 * first or not len(small):
            return Candidates.together([])
        around = 2.5 * small[:, 2:].max(1, keepdims=True)
        low = np.floor(np.maximum((small[:, :2] - around).min(0), 0)).astype(int)
        high = np.ceil(np.minimum((small[:, :2] + around).max(0), grey.shape[::-1])).astype(int)
        part = np.ascontiguousarray(grey[low[1] : high[1], low[0] : high[0]])
        found = self.at_scale(part, fine, (0,))
        found.boxes[:, :2] += low
        return found


def scales_of(shape: tuple[int, ...]) -> list[float]:
    """Scales at which a picture of this height and width is looked at as a whole, largest first."""
    longer = max(shape[:2])
    scale = 2.0 if longer < SMALL_SIDE else min(1.0, WHOLE_SIDE / longer)
    scales = [scale]
    while scales[-1] / STEP * longer >= SMALLEST_SIDE and min(shape[:2]) * scales[-1] / STEP >= 1:
        scales.append(scales[-1] / STEP)
    return scales


def resized(grey: np.ndarray, scale: float) -> np.ndarray:
    """uint8 (H, W) at a scale, at least one pixel each way."""
    if scale == 1:
        return grey
    size = tuple(max(1, round(side * scale)) for side in grey.shape[::-1])
    return cv2.resize(grey, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
