"""What the page network says, place by place, and what it is trained to say.

Its answer is a grid of places STRIDE pixels apart, each with CHANNELS numbers: four logits "the centre of a digit that
lies turned by so many quarter turns", the logarithms of width and height over SCALE, the way to the centre in places
(x, y), and ten logits of the digit. The form is that of CenterNet (Zhou et al., Objects as Points, 2019).
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

STRIDE = 4
"""Pixels between places."""
SCALE = 32.0
"""Width and height, in pixels, whose logarithms are 0."""
TURNS, SIZES, DIGITS = slice(0, 4), slice(4, 8), slice(8, 18)
"""Where in the channels are the logits of centres, the box, the logits of digits."""
CHANNELS = 18
UNKNOWN = -1.0
"""In the target of centres: neither answer is wrong here."""
NO_DIGIT = 255
"""In the target of digits: nothing is said about the digit here."""
ALIKE_UPSIDE_DOWN = (0, 1, 6, 8, 9)
"""Digits that show a digit when they are turned by 180 degrees too."""
FALLEN = 5.3
"""Standard deviations from its centre at which a bump is below a millionth."""


GREY_LEVELS = 128.0
"""The network divides its input, 0..255, by this."""
EPSILON = 1e-3
"""Added to the variance by which each filter is normalised."""


@dataclass(frozen=True, kw_only=True)
class PageArchitecture:
    """Numbers of filters, and the dilation of each residual block."""

    stem: int = 16
    fine: int = 24
    trunk: int = 48
    head: int = 32
    dilations: tuple[int, ...] = (1, 2, 4, 1)

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def targets_of(
    digits: Sequence[tuple[float, float, float, float, int]], ignored: np.ndarray, turn: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What the network should answer to a picture.

    Args:
        digits: left, top, right, bottom (pixels) and digit.
        ignored: bool (H, W), H and W multiples of STRIDE: where neither answer is wrong.
        turn: quarter turns, counter-clockwise, by which the page lies turned.

    Returns:
        Centres float16 (H/4, W/4, 4): 1 at a digit's centre, falling off around it, UNKNOWN where nothing is asked;
        boxes float16 (H/4, W/4, 4) and digits uint8 (H/4, W/4), of weight only near centres.
    """
    rows, columns = ignored.shape[0] // STRIDE, ignored.shape[1] // STRIDE
    heat = np.zeros((rows, columns), np.float32)
    boxes = np.zeros((rows, columns, 4), np.float32)
    labels = np.full((rows, columns), NO_DIGIT, np.uint8)
    unknown = np.zeros((rows, columns, 4), bool)
    unknown |= ignored[::STRIDE, ::STRIDE, None]
    for left, top, right, bottom, label in digits:
        width, height = max(2.0, right - left), max(2.0, bottom - top)
        centre_x, centre_y = (left + right) / 2 / STRIDE - 0.5, (top + bottom) / 2 / STRIDE - 0.5
        spread_x, spread_y = max(0.55, width / STRIDE * 0.11), max(0.55, height / STRIDE * 0.11)
        column, row = (min(max(round(v), 0), n - 1) for v, n in ((centre_x, columns), (centre_y, rows)))
        # Farther away the bump is below what float16 tells from nothing.
        reach_x, reach_y = math.ceil(FALLEN * spread_x) + 1, math.ceil(FALLEN * spread_y) + 1
        here = (
            slice(max(0, row - reach_y), min(rows, row + reach_y + 1)),
            slice(max(0, column - reach_x), min(columns, column + reach_x + 1)),
        )
        y, x = np.mgrid[here].astype(np.float32)
        bump = np.exp(-((x - centre_x) ** 2) / (2 * spread_x**2) - (y - centre_y) ** 2 / (2 * spread_y**2))
        nearer = bump > np.maximum(heat[here], 0.35)
        nearer[row - here[0].start, column - here[1].start] = True
        np.maximum(heat[here], bump, out=heat[here])
        heat[row, column] = 1
        labels[here][nearer] = label
        sizes = np.log(np.array((width, height)) / SCALE)
        told = [np.full_like(x, sizes[0]), np.full_like(x, sizes[1]), centre_x - x, centre_y - y]
        boxes[here][nearer] = np.stack(told, -1)[nearer]
        seen = bump > 0.05
        if label in ALIKE_UPSIDE_DOWN:
            unknown[here][..., (turn + 2) % 4] |= seen
        if label == 0:
            unknown[here][..., (turn + 1) % 4] |= seen
            unknown[here][..., (turn + 3) % 4] |= seen
    centres = np.zeros((rows, columns, 4), np.float32)
    centres[..., turn] = heat
    centres[unknown & (centres < 0.3)] = UNKNOWN
    return centres.astype(np.float16), boxes.astype(np.float16), labels
