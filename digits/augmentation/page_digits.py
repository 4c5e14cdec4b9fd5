"""Shapes of written digits for simulated pages: MNIST's and synthesised ones, as distances that any pen can draw.

Each shape is kept as two small fields, the distance to the stroke's middle line and the signed distance to
the ink's edge. So a pen of any width draws it, sharp at any size. The middle line is what thinning leaves (Guo and
Hall, Parallel thinning with two-subiteration algorithms, 1989).
"""

import functools
import math
from dataclasses import dataclass

import cv2
import numpy as np

from digits.augmentation import letterforms

FIELD_SIZE = 64
"""Side of a field, in pixels."""
LONGER_SIDE = 42
"""Longer side of a shape's ink in its fields, in pixels."""
DRAWN = 56
"""Side of the canvas on which a digit is warped, in pixels: twice MNIST's."""
FOREIGN = (0.25, 0.45, 0.3, 0.3, 0.42, 0.35, 0.25, 0.5, 0.25, 0.4)
"""Probability, by label, that a digit of MNIST is replaced by one in a style that MNIST lacks."""
MIDDLE_STEPS, EDGE_STEPS = 8, 6
"""Steps of the two fields for each of their pixels."""


@dataclass(frozen=True, eq=False, kw_only=True)
class DigitShapes:
    """N written digits, independent of pens."""

    middle: np.ndarray
    """uint8 (N, 64, 64): distance to the middle line, in eighths of a field pixel, at most 255."""
    edge: np.ndarray
    """int8 (N, 64, 64): distance to the edge of the ink, negative inside, in sixths of a field pixel."""
    half_widths: np.ndarray
    """float32 (N,): half the width of the ink, in field pixels."""
    sizes: np.ndarray
    """float32 (N, 2): width and height of the middle line's box, in field pixels."""
    labels: np.ndarray
    """uint8 (N,)."""

    @functools.cached_property
    def by_label(self) -> list[np.ndarray]:
        """Rows of each digit: ten int64 arrays."""
        return [np.flatnonzero(self.labels == label) for label in range(10)]

    def draw(self, label: int, rng: np.random.Generator) -> int:
        """A random row of this digit."""
        rows = self.by_label[label]
        return int(rows[rng.integers(len(rows))])


def make_shapes(digits: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> DigitShapes:
    """uint8 (N, 28, 28), light ink on black, and integer labels (N,) -> their shapes, warped, some in other styles.

    Digits with next to no ink are left out, so that there may be fewer.
    """
    digits = digits.copy()
    foreign = rng.random(len(digits)) < np.take(FOREIGN, labels)
    digits[foreign] = letterforms.synthesise(labels[foreign], rng)
    kept = []
    for digit, label in zip(digits, labels, strict=True):
        shape = _make_shape(_warped(digit, rng))
        if shape is not None:
            kept.append((*shape, label))
    middle, edge, half, size, label = zip(*kept, strict=True)
    return DigitShapes(
        middle=np.stack(middle),
        edge=np.stack(edge),
        half_widths=np.array(half, np.float32),
        sizes=np.array(size, np.float32),
        labels=np.array(label, np.uint8),
    )


def joined(sets: list[DigitShapes]) -> DigitShapes:
    """All shapes of several sets, in order."""
    names = ("middle", "edge", "half_widths", "sizes", "labels")
    return DigitShapes(**{name: np.concatenate([getattr(shapes, name) for shapes in sets]) for name in names})


def _warped(digit: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """uint8 (28, 28) -> uint8 (56, 56): enlarged, slanted, turned, stretched and bent."""
    large = cv2.resize(digit, (DRAWN, DRAWN), interpolation=cv2.INTER_CUBIC)
    if rng.random() < 0.15:
        return large
    strength = rng.uniform(0.2, 1.4)
    slant = strength * rng.normal(0, 0.35 if rng.random() < 0.2 else 0.17)
    angle = strength * rng.normal(0, math.radians(8))
    width, height = np.exp(strength * rng.normal(0, (0.2, 0.08)))
    cos, sin = math.cos(angle), math.sin(angle)
    at = np.linspace(-1.15, 1.15, DRAWN, dtype=np.float32)
    x, y = at[None, :], at[:, None]
    bends = 0.055 * strength * rng.standard_normal((2, 5, 5)).astype(np.float32)
    wobble = [cv2.resize(bend, (DRAWN, DRAWN), interpolation=cv2.INTER_CUBIC) for bend in bends]
    source_x = cos * width * x + (cos * slant - sin * height) * y + wobble[0]
    source_y = sin * width * x + (sin * slant + cos * height) * y + wobble[1]
    middle = (DRAWN - 1) / 2
    maps = [(DRAWN / 2 * source + middle).astype(np.float32) for source in (source_x, source_y)]
    across, down = maps
    return cv2.remap(large, across, down, cv2.INTER_LINEAR)


def _make_shape(drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray, float, tuple[int, int]] | None:
    """uint8 (56, 56) -> middle and edge fields, half width and size of the middle line; None without ink."""
    smooth = cv2.GaussianBlur(cv2.resize(drawn, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC), (0, 0), 1.6)
    left, top, width, height = cv2.boundingRect((smooth > 100).astype(np.uint8))
    if max(width, height) < 20:
        return None
    scale = LONGER_SIDE / max(width, height)
    shift_x, shift_y = FIELD_SIZE / 2 - scale * (left + width / 2), FIELD_SIZE / 2 - scale * (top + height / 2)
    matrix = np.array([(scale, 0, shift_x), (0, scale, shift_y)])
    ink = (cv2.warpAffine(smooth, matrix, (FIELD_SIZE, FIELD_SIZE), flags=cv2.INTER_AREA) > 100).astype(np.uint8)
    line = thinned(ink)
    if not line.any():
        return None
    inside = cv2.distanceTransform(ink, cv2.DIST_L2, 5)
    outside = cv2.GaussianBlur(cv2.distanceTransform(1 - ink, cv2.DIST_L2, 5) - inside, (0, 0), 0.8)
    middle = cv2.distanceTransform(1 - line, cv2.DIST_L2, 5)
    _, _, width, height = cv2.boundingRect(line)
    return (
        np.clip(middle * MIDDLE_STEPS, 0, 255).astype(np.uint8),
        np.clip(outside * EDGE_STEPS, -127, 127).astype(np.int8),
        float(np.median(inside[line > 0])),
        (width, height),
    )


def thinned(ink: np.ndarray) -> np.ndarray:
    """uint8 (H, W), 1 where ink is -> the same, thinned to lines one pixel wide."""
    weights = np.array([(1, 2, 4), (128, 0, 8), (64, 32, 16)], np.float32)
    while True:
        before = ink
        for stays in _stays():
            around = cv2.filter2D(ink, -1, weights, borderType=cv2.BORDER_CONSTANT)
            ink = ink & cv2.LUT(around, stays)
        if np.array_equal(before, ink):
            return ink


@functools.cache
def _stays() -> tuple[np.ndarray, np.ndarray]:
    """Two uint8 (256,): 0 where the eight neighbours, clockwise from the upper left as bits, let a pixel go."""
    tables = np.ones((2, 256), np.uint8)
    for code in range(256):
        p9, p2, p3, p4, p5, p6, p7, p8 = (bool(code >> bit & 1) for bit in range(8))
        crossings = sum((not a) and (b or c) for a, b, c in ((p2, p3, p4), (p4, p5, p6), (p6, p7, p8), (p8, p9, p2)))
        pairs = min(
            (p9 or p2) + (p3 or p4) + (p5 or p6) + (p7 or p8), (p2 or p3) + (p4 or p5) + (p6 or p7) + (p8 or p9)
        )
        if crossings == 1 and 2 <= pairs <= 3:
            tables[0, code] = (p2 or p3 or not p5) and p4
            tables[1, code] = (p6 or p7 or not p9) and p8
    return tables[0], tables[1]


Box = tuple[float, float, float, float]
"""Left, top, right and bottom, in pixels."""


def drawn_digit(
    shapes: DigitShapes, row: int, height: float, pen: float | None, angle: float, rng: np.random.Generator
) -> tuple[np.ndarray, Box]:
    """One digit drawn `height` pixels high: ink float32 (n, n) in 0..1, and its box there.

    `pen` is the line's width as a fraction of the digit's longer side; None keeps the width that it was written with.
    `angle` turns it counter-clockwise, in degrees.
    """
    own = float(shapes.half_widths[row])
    width, tall = (float(side) for side in shapes.sizes[row])
    half = own if pen is None else pen * 0.5 * max(width, tall)
    depth = np.maximum(
        half - shapes.middle[row].astype(np.float32) / MIDDLE_STEPS,
        (half - own) - shapes.edge[row].astype(np.float32) / EDGE_STEPS,
    )
    scale = height / max(tall, 0.45 * width)
    side = math.ceil(FIELD_SIZE * scale * 1.1) + 2
    matrix = cv2.getRotationMatrix2D((FIELD_SIZE / 2, FIELD_SIZE / 2), angle, scale)
    matrix[:, 2] = matrix[:, 2] + side / 2 - FIELD_SIZE / 2 + rng.uniform(-0.5, 0.5, 2)
    flags = cv2.INTER_AREA if scale < 0.5 else cv2.INTER_LINEAR
    seen = cv2.warpAffine(depth, matrix, (side, side), flags=flags, borderValue=-20.0)
    ink = np.clip(0.5 + seen * np.float32(scale), 0, 1)
    if half * scale < 0.5:  # a line finer than a pixel is fainter too
        ink = np.clip(ink * np.float32(1.3 - half * scale), 0, 1)
    left, top, wide, high = cv2.boundingRect((ink > 0.3).astype(np.uint8))
    return ink, (left, top, left + wide, top + high)


def lay(target: np.ndarray, patch: np.ndarray, left: int, top: int) -> None:
    """Lay ink float32 (h, w) onto ink float32 (H, W), the darker one of both wins; what hangs over is cut off."""
    height, width = target.shape
    rows = slice(max(0, top), min(height, top + patch.shape[0]))
    columns = slice(max(0, left), min(width, left + patch.shape[1]))
    if rows.start < rows.stop and columns.start < columns.stop:
        part = patch[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
        np.maximum(target[rows, columns], part, out=target[rows, columns])
