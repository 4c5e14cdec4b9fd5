"""How strong the ink of each digit is: what shows through from a sheet's other side is far weaker than the rest."""

from dataclasses import replace

import cv2
import numpy as np

from digits.preprocessing.local_contrast import inks
from digits.reading.merge import Found

LEAST = 0.1
"""Confidence from which it is worth measuring."""
DARKEST = 92
"""Percentile of the contrast inside a digit's box that stands for its ink: strokes cover at least so much of it."""


def with_strength(found: list[Found], grey: np.ndarray) -> list[Found]:
    """The same, with the contrast of their ink in a picture uint8 (H, W), in whose frame they are told."""
    if not any(one.confidence >= LEAST for one in found):
        return found
    contrast = cv2.GaussianBlur(cv2.max(*inks(grey)), (0, 0), 0.8)
    return [replace(one, strength=strength(one, contrast)) if one.confidence >= LEAST else one for one in found]


def strength(one: Found, contrast: np.ndarray) -> float:
    """Contrast of one digit's ink, given that of each pixel, float32 (H, W)."""
    height, width = contrast.shape
    left, right = max(0, int(one.x - one.width / 2)), min(width, int(one.x + one.width / 2) + 1)
    top, bottom = max(0, int(one.y - one.height / 2)), min(height, int(one.y + one.height / 2) + 1)
    inside = contrast[top:bottom, left:right]
    return float(np.percentile(inside, DARKEST)) if inside.size else 0.0
