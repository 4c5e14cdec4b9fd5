"""What is no digit, drawn as preparation would draw it: letters, signs, words and sketches, as large as a digit.

For training only, which shows the network some of them among the digits (outlier exposure: Hendrycks, Mazeika and
Dietterich, Deep anomaly detection with outlier exposure, 2019), so that what is none looks strange to it. Signs that
people would take for a digit, such as O, I, S, Z, q and b, and upright bars are left out.
"""

import cv2
import numpy as np

from digits.augmentation.hand import place
from digits.augmentation.page_letters import ALONE, PRINTED_SIGNS, handwrite, print_text, word
from digits.augmentation.page_marks import log_uniform, sketch
from digits.config import IMAGE_SIZE

SIDE = 160
"""Side of the canvas that they are drawn on, in pixels."""
SIZE = 48.0
"""Height of a capital letter there, in pixels."""
BAR = 0.45
"""Least breadth of ink that stands rather upright, as a fraction of its length: what is narrower is a 1."""
UPRIGHT = 55.0
"""Degrees from upright within which it does."""
KINDS = {"by hand": 0.38, "printed": 0.2, "word": 0.1, "sketch": 0.32}
"""Kinds, with their frequencies."""


def outliers(count: int, rng: np.random.Generator) -> np.ndarray:
    """So many of them: uint8 (N, 28, 28), light ink on black. Equal generators give equal pixels."""
    drawn = np.zeros((count, IMAGE_SIZE, IMAGE_SIZE), np.uint8)
    for index, kind in enumerate(rng.choice(list(KINDS), count, p=list(KINDS.values()))):
        canvas = np.zeros((SIDE, SIDE), np.float32)
        while is_bar(canvas):
            canvas[:] = 0
            _draw(str(kind), canvas, rng)
        drawn[index] = place((canvas * 255).astype(np.uint8))
    return drawn


def is_bar(canvas: np.ndarray) -> bool:
    """Whether ink, float32 (H, W), is nothing but an upright bar, as a 1 may be, or nothing at all."""
    points = cv2.findNonZero((canvas > 0.5).astype(np.uint8))
    if points is None:
        return True
    corners = cv2.boxPoints(cv2.minAreaRect(points))
    sides = np.stack([corners[1] - corners[0], corners[2] - corners[1]])
    lengths = np.hypot(*sides.T) + 1
    x, y = np.abs(sides[lengths.argmax()])
    return bool(lengths.min() < BAR * lengths.max() and np.degrees(np.arctan2(x, y)) < UPRIGHT)


def _draw(kind: str, canvas: np.ndarray, rng: np.random.Generator) -> None:
    """One thing of a kind, onto float32 (SIDE, SIDE)."""
    pen = SIZE * log_uniform(rng, 0.05, 0.28)
    if kind == "sketch":
        sketch(canvas, SIZE * rng.uniform(0.3, 0.9), pen, rng)
    elif kind == "by hand":
        letters = [ALONE[rng.integers(len(ALONE))] for _ in range(1 if rng.random() < 0.85 else 2)]
        handwrite(canvas, letters, (0.3 * SIDE, 0.6 * SIDE), 0.6 * SIZE, pen, rng)
    else:
        text = word(rng, 2, 6) if kind == "word" else PRINTED_SIGNS[rng.integers(len(PRINTED_SIGNS))]
        height = SIZE * (0.5 if kind == "word" else 1.5)
        patch = print_text(text, height, pen, rng)[:SIDE, :SIDE]
        canvas[: patch.shape[0], : patch.shape[1]] = patch
