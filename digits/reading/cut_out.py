"""Each digit of a reading as a small picture for people to look at: cut out of its photo, upright, 28x28."""

from dataclasses import replace

import cv2
import numpy as np

from digits.config import IMAGE_SIZE
from digits.reading.answer import Reading

MARGIN = 0.15
"""Paper around the digit, as a fraction of its longer side."""


def with_pictures(reading: Reading, photo: np.ndarray, size: tuple[int, int]) -> Reading:
    """The reading with a picture of each digit that has none; `photo` is uint8 (H, W, 3), `size` (width, height) is the
    frame in which the boxes are told."""
    scale = (photo.shape[1] / size[0], photo.shape[0] / size[1])
    turns = -reading.rotation // 90
    digits = tuple(
        one if one.seen is not None else replace(one, seen=cut_out(photo, one.box, scale, turns))
        for one in reading.digits
    )
    return replace(reading, digits=digits)


def cut_out(
    photo: np.ndarray, box: tuple[float, float, float, float], scale: tuple[float, float], turns: int
) -> np.ndarray:
    """A square of a photo, uint8 (H, W, 3), around a box (left, top, width, height, times `scale`), as uint8 (28, 28).

    Turned counter-clockwise by `turns` quarter turns; beyond the photo's edge its last pixels go on.
    """
    left, top, width, height = box[0] * scale[0], box[1] * scale[1], box[2] * scale[0], box[3] * scale[1]
    side = max(1.0, max(width, height) * (1 + 2 * MARGIN))
    x, y = left + (width - side) / 2, top + (height - side) / 2
    x0, y0, x1, y1 = int(np.floor(x)), int(np.floor(y)), int(np.ceil(x + side)), int(np.ceil(y + side))
    rows = np.clip(np.arange(y0, y1), 0, photo.shape[0] - 1)
    columns = np.clip(np.arange(x0, x1), 0, photo.shape[1] - 1)
    grey = cv2.cvtColor(np.ascontiguousarray(photo[np.ix_(rows, columns)]), cv2.COLOR_RGB2GRAY)
    method = cv2.INTER_AREA if len(rows) > IMAGE_SIZE else cv2.INTER_CUBIC
    return np.ascontiguousarray(np.rot90(cv2.resize(grey, (IMAGE_SIZE, IMAGE_SIZE), interpolation=method), turns))
