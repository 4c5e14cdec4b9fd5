"""What the page network sees of a grey picture: how much darker, and how much lighter, each pixel is than its paper.

Light and shadow vanish here, ink stays, and neither polarity is preferred: a shadow's edge is no ink of either kind.
The black top hat finds dark ink, the white top hat light ink (Serra, Image Analysis and Mathematical Morphology, 1982);
both are divided by the strongest of either nearby, so that a faint pencil and a black marker look alike.
"""

import cv2
import numpy as np

WINDOW = 31
"""Side of the square that paper must show through, in pixels: wider than any stroke of a digit that is read."""
REACH = 21
"""How far around a pixel the strongest contrast is looked for, in steps of 4 pixels."""
FAINTEST = 0.08
"""Contrast, as a fraction of the paper's brightness, below which nothing is made stronger: paper has grain."""
FULL = 200
"""Value of the strongest contrast nearby, of 255."""

_SQUARE = np.ones((WINDOW, WINDOW), np.uint8)
_NEAR, _FAR = np.ones((7, 7), np.uint8), np.ones((REACH, REACH), np.uint8)


def inks(grey: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """uint8 (H, W) -> dark ink and light ink, float32 (H, W) each: contrast as a fraction of the paper's light."""
    smooth = cv2.GaussianBlur(grey, (0, 0), 0.8)
    paper = cv2.blur(cv2.morphologyEx(smooth, cv2.MORPH_CLOSE, _SQUARE), (15, 15))
    board = cv2.blur(cv2.morphologyEx(smooth, cv2.MORPH_OPEN, _SQUARE), (15, 15))
    # Both as fractions of what the paper reflects; dark boards reflect little, so at least a fifth of white counts.
    bright = np.maximum(paper, 48).astype(np.float32)
    dark_ink = cv2.subtract(paper, grey).astype(np.float32) / bright
    light_ink = cv2.subtract(grey, board).astype(np.float32) / bright
    return dark_ink, light_ink


def local_contrast(grey: np.ndarray) -> np.ndarray:
    """uint8 (H, W), any size from 1x1 -> uint8 (H, W, 2): dark ink and light ink, each as strong as the other's."""
    dark_ink, light_ink = inks(grey)
    strength = cv2.max(cv2.GaussianBlur(dark_ink, (0, 0), 1.0), cv2.GaussianBlur(light_ink, (0, 0), 1.0))
    coarse = np.ascontiguousarray(cv2.dilate(strength, _NEAR)[::4, ::4])
    coarse = cv2.blur(cv2.dilate(coarse, _FAR), (13, 13))
    strongest = cv2.resize(coarse, grey.shape[::-1], interpolation=cv2.INTER_LINEAR)
    gain = np.float32(FULL) / np.maximum(strongest, FAINTEST)
    maps = [cv2.convertScaleAbs(cv2.multiply(one, gain)) for one in (dark_ink, light_ink)]
    return cv2.merge(maps)
