"""Separates ink from paper: tells what a pen did from what light, shadow, texture and objects in the frame do.

Ink is what differs from the paper around it and is narrower than anything else that does. It is separated twice on the
way from a photo to 28x28: in the overview, to find the digit, and in the close-up, to extract its strokes.
"""

from typing import Any

import cv2
import numpy as np

OVERVIEW_STROKE = 0.3
"""Widest stroke looked for in the overview, as a fraction of the photo's shorter side."""
FILLING_STROKE = 0.6
"""The same where the border shows nothing but one sheet of paper, so that the digit may fill the frame."""
NEIGHBOURHOOD = 0.5
"""Side of the neighbourhood whose median colour is taken as the paper's, as a fraction of the photo's shorter side."""
BORDER = 0.04
"""Width of the border that shows the paper's colour, as a fraction of the photo's shorter side."""
UNIFORM_SPREAD = 0.12
"""A border shows one sheet of paper if four in five of its pixels differ from its colour by less than this fraction
of the contrast."""
DARKEST_SHADOW = 0.3
"""Ink in a shadow is amplified as if the shadow let at least this fraction of the light through."""


def percentile(values: np.ndarray, percent: float) -> float:
    """`np.percentile` for values of any shape, without the tenth of a millisecond that its options cost."""
    flat = values.ravel()
    place = (len(flat) - 1) * percent / 100
    low = int(place)
    high = min(low + 1, len(flat) - 1)
    both = np.partition(flat, [low, high])
    return float(both[low]) + (place - low) * (float(both[high]) - float(both[low]))


def resize_to(image: np.ndarray, longer_side: int) -> np.ndarray:
    """Scale (H, W, ...) to a longer side of that many pixels: by averaging to shrink, by cubic curves to enlarge."""
    height, width = image.shape[:2]
    scale = longer_side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)


def ink_colours(view: np.ndarray, cut_out: bool) -> tuple[np.ndarray, float]:
    """Signed difference of every pixel from the paper, float32 (H, W, 3), zero where there is no ink; and the noise.

    `view` is uint8 (H, W, 3). `cut_out` says that the picture is cropped to its digit: more than half of it may be
    ink, and its paper has one colour. The noise is in grey levels.
    """
    smooth = cv2.GaussianBlur(view, (0, 0), max(view.shape) / 300)
    colour = border_colour(smooth)
    # OpenCV takes a colour in place of a picture, which its types do not know.
    one_paper: Any = (*colour.tolist(), 0)
    if cut_out:
        return cv2.subtract(smooth, one_paper, dtype=cv2.CV_32F), _noise(smooth)
    uniform = _is_uniform_border(smooth, colour)
    paper = one_paper if uniform else neighbourhood_paper(view)
    stroke = FILLING_STROKE if uniform else OVERVIEW_STROKE
    closed, opened = _without_strokes(smooth, int(stroke * min(view.shape[:2])), beyond=not uniform)
    darker = cv2.min(cv2.subtract(paper, smooth), cv2.subtract(closed, smooth))
    lighter = cv2.min(cv2.subtract(smooth, paper), cv2.subtract(smooth, opened))
    return cv2.subtract(lighter, darker, dtype=cv2.CV_32F), _noise(smooth)


def _without_strokes(view: np.ndarray, width: int, beyond: bool) -> tuple[np.ndarray, np.ndarray]:
    """uint8 (H, W, 3) twice: without the dark, and without the light things narrower than `width` pixels.

    The edge of a shadow, a table or a finger stays where it is. With `beyond`, these are taken to continue outside the
    frame; otherwise the corner where a slanted edge leaves it would count as narrow.
    """
    width = max(3, width)
    kernel = cv2.getStructuringElement(cv2.MORPH_RECT, (width, width))
    margin = width // 2 if beyond else 0
    around = cv2.copyMakeBorder(view, margin, margin, margin, margin, cv2.BORDER_REPLICATE)
    inside = np.s_[margin : margin + view.shape[0], margin : margin + view.shape[1]]
    closed = cv2.morphologyEx(around, cv2.MORPH_CLOSE, kernel)
    opened = cv2.morphologyEx(around, cv2.MORPH_OPEN, kernel)
    return closed[inside], opened[inside]


def border_colour(view: np.ndarray) -> np.ndarray:
    """The median colour along the border: uint8 (H, W, 3) to uint8 (3,)."""
    return np.array([percentile(channel, 50) for channel in _border(view).T]).astype(np.uint8)


def neighbourhood_paper(view: np.ndarray) -> np.ndarray:
    """The paper's colour at every pixel, the median of a wide neighbourhood: uint8 (H, W, 3) to the same."""
    small = resize_to(view, 80)
    paper = cv2.medianBlur(small, int(NEIGHBOURHOOD * min(small.shape[:2])) | 1)
    return cv2.resize(paper, (view.shape[1], view.shape[0]), interpolation=cv2.INTER_LINEAR)


def _border(view: np.ndarray) -> np.ndarray:
    width = max(1, round(BORDER * min(view.shape[:2])))
    sides = (view[:width], view[-width:], view[width:-width, :width], view[width:-width, -width:])
    return np.concatenate([side.reshape(-1, 3) for side in sides])


def _is_uniform_border(view: np.ndarray, paper: np.ndarray) -> bool:
    """Whether the border of uint8 (H, W, 3) shows one evenly lit sheet of paper of the colour uint8 (3,)."""

    def distance(pixels: np.ndarray) -> np.ndarray:
        red, green, blue = np.abs(pixels.astype(np.int16) - paper.astype(np.int16)).T
        return np.maximum(np.maximum(red, green), blue)

    contrast = percentile(distance(view[::2, ::2].reshape(-1, 3)), 99)
    return bool(percentile(distance(_border(view)), 80) < UNIFORM_SPREAD * contrast)


def _noise(view: np.ndarray) -> float:
    """Standard deviation of the fine grain of uint8 (H, W, 3), whether of paper or of ink."""
    grey = cv2.transform(view.astype(np.float32), np.full((1, 3), 1 / 3))
    grain = np.abs(grey - cv2.GaussianBlur(grey, (0, 0), 2))
    return 1.48 * percentile(grain[::2, ::2], 50)


def ink_strength(view: np.ndarray, ink_direction: np.ndarray, stroke_width: float) -> np.ndarray:
    """How much ink each pixel of a close-up has, in grey levels under full light: uint8 (h, w, 3) to float32 (h, w).

    `ink_direction`, float32 (3,), points from the paper's colour to the ink's. Strokes are about `stroke_width` pixels
    wide, and may be up to two and a half times as wide where they meet.
    """
    if ink_direction.sum() > 0:  # light ink on dark paper is the negative of dark ink on light paper
        view, ink_direction = 255 - view, -ink_direction
    signal = cv2.GaussianBlur(cv2.transform(view.astype(np.float32), -ink_direction[None]), (0, 0), 1.0)
    width = 2.5 * stroke_width
    ink = _closed(signal, width) - signal
    # Light varies slowly: half the resolution is enough.
    half = tuple(max(1, side // 2) for side in ink.shape[::-1])
    small = cv2.transform(cv2.resize(view, half), np.full((1, 3), 1 / 3))
    light = _closed(small, width / 2).astype(np.float32)
    light = np.clip(light / max(percentile(light, 90), 1.0), DARKEST_SHADOW, 1)
    return ink / cv2.resize(light, ink.shape[::-1], interpolation=cv2.INTER_LINEAR)


def _closed(image: np.ndarray, width: float) -> np.ndarray:
    """An image (h, w) without the dark things in it that are narrower than `width` pixels."""
    return cv2.morphologyEx(image, cv2.MORPH_CLOSE, np.ones((max(3, round(width)) | 1,) * 2, np.uint8))
