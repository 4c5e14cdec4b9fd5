"""A digit as a stroke of adjustable width, and the ink that a pen leaves of it in a frame.

For evaluation only, as part of simulated_photos.py. MNIST's ink is about 3 of 28 pixels wide; a photo needs lines as
fine as a ballpoint's or as broad as a marker's, sharp at any size. A Stroke holds distances, from which all follow.
"""

import functools
from dataclasses import dataclass

import cv2
import numpy as np

MASK_SIZE = 112
"""Side of the square mask in which a stroke is traced, in pixels: four for each pixel of MNIST."""
PEN_GRAINS = {"ballpoint": 0.25, "pencil": 0.75, "felt": 0.05, "marker": 0.1}
"""Pens, and the fraction of their ink that the grain of the paper keeps off."""


@dataclass(frozen=True, kw_only=True)
class Stroke:
    """One written digit in a mask of 112x112 pixels, independent of the pen."""

    to_middle: np.ndarray
    """float32 (112, 112): distance to the middle line of the stroke, in mask pixels."""
    outside: np.ndarray
    """float32 (112, 112): signed distance to the edge of the ink, negative inside, in mask pixels."""
    half_width: float
    """Half the typical width of the ink, in mask pixels."""
    box: tuple[float, float, float, float]
    """Left, top, width and height of the ink, in mask pixels."""


@dataclass(frozen=True, kw_only=True)
class Writing:
    """With which pen, how large and where a stroke is written in a frame; all as in PhotoConditions."""

    pen: str
    width: float
    """Width of the line as a fraction of the digit's longer side."""
    size: float
    """Longer side of the digit as a fraction of the frame's shorter side."""
    position: tuple[float, float] = (0.0, 0.0)
    """Across and down: 0 is the middle of the frame, -1 and 1 touch its edges."""
    rotation: float = 0.0
    """Clockwise, in degrees."""


def trace_stroke(digit: np.ndarray) -> Stroke:
    """Trace the stroke of a digit, uint8 (28, 28), light ink on black."""
    # A little blur removes the steps of the 28 pixels before the edge is found.
    large = cv2.resize(digit, (MASK_SIZE, MASK_SIZE), interpolation=cv2.INTER_CUBIC)
    return trace_mask((cv2.GaussianBlur(large, (0, 0), 1.6) > 100).astype(np.uint8))


def trace_mask(mask: np.ndarray) -> Stroke:
    """Trace the stroke of a mask, uint8 (112, 112), 1 where there is ink."""
    if not mask.any():
        nowhere = np.full(mask.shape, MASK_SIZE, np.float32)
        return Stroke(to_middle=nowhere, outside=nowhere, half_width=1.0, box=(0, 0, MASK_SIZE, MASK_SIZE))
    inside = cv2.distanceTransform(mask, cv2.DIST_L2, 5)
    outside = cv2.GaussianBlur(cv2.distanceTransform(1 - mask, cv2.DIST_L2, 5) - inside, (0, 0), 1.2)
    middle = thinned(mask)
    left, top, width, height = cv2.boundingRect(mask)
    return Stroke(
        to_middle=cv2.distanceTransform(1 - middle, cv2.DIST_L2, 5),
        outside=outside,
        half_width=float(np.median(inside[middle > 0])),
        box=(left, top, width, height),
    )


def draw_ink(
    stroke: Stroke, writing: Writing, frame: tuple[int, int], slant: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """float32 (H, W) in 0..1: how much ink a pen leaves in each pixel of the frame.

    `frame` is height and width; `slant`, float (3, 3), maps the paper to the frame.
    """
    height, breadth = frame
    left, top, box_width, box_height = stroke.box
    length = max(box_width, box_height, 1)
    half = writing.width * length / 2
    # The middle line keeps thin strokes unbroken; the edge keeps blots and whatever is broader than the stroke.
    depth = np.maximum(half - stroke.to_middle, half - stroke.half_width - stroke.outside)
    growth = 2 * (half - stroke.half_width)
    scale = writing.size * min(frame) / (length + growth)
    angle = np.radians(writing.rotation)
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    turn = np.array([(cosine, -sine), (sine, cosine)])
    extent = np.abs(turn) @ (box_width + growth, box_height + growth)
    free = np.maximum(np.array((breadth, height)) - extent, 0) / 2
    target = np.array((breadth, height)) / 2 + free * writing.position
    middle = np.array((left + box_width / 2, top + box_height / 2))
    placed = np.eye(3)
    placed[:2, :2], placed[:2, 2] = turn, target - turn @ middle
    seen = cv2.warpPerspective(depth, slant @ placed, (breadth, height), borderValue=-MASK_SIZE)
    ink = np.clip(0.5 + seen * np.float32(scale), 0, 1)
    # Tooth of the paper (fine) and pressure of the hand (coarse).
    grain = PEN_GRAINS[writing.pen]
    tooth = rng.random((height, breadth), dtype=np.float32)
    pressure = cv2.resize(rng.random((6, 6), dtype=np.float32), (breadth, height), interpolation=cv2.INTER_LINEAR)
    return ink * (1 - grain * tooth) * (1 - 0.5 * grain * pressure)


def thinned(mask: np.ndarray) -> np.ndarray:
    """Thin a mask, uint8 (H, W), 1 where there is ink, to lines one pixel wide (Zhang and Suen, 1984)."""
    thin: np.ndarray = mask.copy()
    weights = np.array([(128, 1, 2), (64, 0, 4), (32, 16, 8)], np.float32)
    while True:
        before = thin
        for removable in _removable():
            neighbours = cv2.filter2D(thin, -1, weights, borderType=cv2.BORDER_CONSTANT)
            thin = thin & np.invert(cv2.LUT(neighbours, removable))
        if np.array_equal(thin, before):
            return thin


@functools.cache
def _removable() -> tuple[np.ndarray, np.ndarray]:
    """Two tables, uint8 (256,): 1 if a pixel with these eight neighbours, bits clockwise from above, may be removed."""
    tables = np.zeros((2, 256), np.uint8)
    for code in range(256):
        ring = [code >> bit & 1 for bit in range(8)]
        starts = sum(not here and after for here, after in zip(ring, ring[1:] + ring[:1], strict=True))
        if 2 <= sum(ring) <= 6 and starts == 1:
            above, right, below, left = ring[::2]
            tables[0, code] = not (above and right and below) and not (right and below and left)
            tables[1, code] = not (above and right and left) and not (above and below and left)
    return tables[0], tables[1]
