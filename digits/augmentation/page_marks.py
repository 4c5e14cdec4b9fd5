"""Marks on training's simulated pages that are no digits: sketches, scribbles, rulings.

Everything draws ink in place on float32 (H, W), 0 paper, 1 ink.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from digits.augmentation.hand import smooth


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A number whose logarithm is uniform."""
    return float(np.exp(rng.uniform(math.log(low), math.log(high))))


def stroke(ink: np.ndarray, points: npt.ArrayLike, pen: float, *, closed: bool = False, value: float = 1.0) -> None:
    """Draw a path float (K, 2), x and y in pixels, with a pen `pen` pixels wide."""
    path = np.rint(np.asarray(points) * 16).astype(np.int32)
    cv2.polylines(ink, [path], closed, value, max(1, round(pen)), cv2.LINE_AA, 4)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Mark:
    """Where and how one thing is drawn."""

    ink: np.ndarray
    centre: np.ndarray
    """float (2,): x and y in pixels."""
    size: float
    pen: float
    axes: np.ndarray
    """float (2, 2): a turn."""
    rng: np.random.Generator

    def line(self, *points: np.ndarray, closed: bool = False) -> None:
        """Draw a path through points float (2,)."""
        stroke(self.ink, np.array(points), self.pen, closed=closed)

    def fill(self, points: np.ndarray) -> None:
        """Fill a polygon float (K, 2)."""
        cv2.fillPoly(self.ink, [np.rint(points).astype(np.int32)], 1.0, cv2.LINE_AA)


def sketch(ink: np.ndarray, size: float, pen: float, rng: np.random.Generator) -> None:
    """One thing that people draw and that is no digit, about `size` pixels large."""
    centre = rng.uniform(0, ink.shape[::-1])
    size = size * rng.uniform(0.7, 2.2)
    angle = rng.uniform(0, 2 * math.pi)
    axes = np.array([(math.cos(angle), -math.sin(angle)), (math.sin(angle), math.cos(angle))])
    mark = _Mark(ink=ink, centre=centre, size=size, pen=pen, axes=axes, rng=rng)
    _SKETCHES[rng.integers(len(_SKETCHES))](mark)


def _arrow(mark: _Mark) -> None:
    tip, back = mark.centre + mark.size * mark.axes[0], 0.4 * mark.size * mark.axes[0]
    side = 0.25 * mark.size * mark.axes[1]
    mark.line(mark.centre - mark.size * mark.axes[0], tip)
    mark.line(tip - back - side, tip, tip - back + side)


def _cross(mark: _Mark) -> None:
    for axis in mark.axes:
        mark.line(mark.centre - 0.5 * mark.size * axis, mark.centre + 0.5 * mark.size * axis)


def _scrawl(mark: _Mark) -> None:
    spread = mark.size * mark.rng.uniform(0.15, 0.5)
    path = np.cumsum(mark.rng.normal(0, spread, (int(mark.rng.integers(6, 25)), 2)), axis=0)
    mark.line(*(mark.centre + smooth(path - path.mean(0))))


def _polygon(mark: _Mark) -> None:
    corners = int(mark.rng.integers(3, 7))
    angles = np.linspace(0, 2 * math.pi, corners, endpoint=False) + mark.rng.normal(0, 0.15, corners)
    outline = np.stack([np.cos(angles), mark.rng.uniform(0.5, 1) * np.sin(angles)], 1)
    points = mark.centre + mark.size * outline @ mark.axes
    if mark.rng.random() < 0.3:
        mark.fill(points)
    else:
        mark.line(*points, closed=True)


def _star(mark: _Mark) -> None:
    angles = np.arange(6) * 4 * math.pi / 5
    mark.line(*(mark.centre + mark.size * np.stack([np.cos(angles), np.sin(angles)], 1) @ mark.axes))


def _face(mark: _Mark) -> None:
    (x, y), size, pen = (int(value) for value in mark.centre), mark.size, max(1, int(mark.pen))
    filled = mark.rng.random() < 0.25
    cv2.circle(mark.ink, (x, y), max(3, int(size)), 1.0, -1 if filled else pen, cv2.LINE_AA)
    value = 0.0 if filled else 1.0
    for eye in (-0.35, 0.35):
        place = (int(x + eye * size), int(y - 0.25 * size))
        cv2.circle(mark.ink, place, max(1, int(0.1 * size)), value, -1, cv2.LINE_AA)
    start = 20 if mark.rng.random() < 0.6 else 200
    mouth = (max(1, int(0.5 * size)), max(1, int(0.35 * size)))
    cv2.ellipse(mark.ink, (x, int(y + 0.1 * size)), mouth, 0, start, start + 140, value, pen, cv2.LINE_AA)


def _wave(mark: _Mark) -> None:
    x = np.linspace(-0.5, 0.5, 60) * mark.size * mark.rng.uniform(2, 5)
    y = mark.size * 0.15 * np.sin(x / mark.size * mark.rng.uniform(2, 12)) * (mark.rng.random() < 0.6)
    mark.line(*(mark.centre + np.stack([x, y], 1) @ mark.axes))


def _zigzag(mark: _Mark) -> None:
    count = int(mark.rng.integers(8, 40))
    height = np.where(np.arange(count) % 2, 1, -1) * mark.size * mark.rng.uniform(0.3, 1, count)
    mark.line(*(mark.centre + np.stack([np.linspace(-mark.size, mark.size, count), height], 1) @ mark.axes))


def _spiral(mark: _Mark) -> None:
    turn = np.linspace(0, mark.rng.uniform(3, 8) * math.pi, 120)
    arms = turn[:, None] * np.stack([np.cos(turn), np.sin(turn)], 1)
    mark.line(*(mark.centre + 0.085 * mark.size * arms @ mark.axes))


def _heart(mark: _Mark) -> None:
    t = np.linspace(0, 2 * math.pi, 60)
    down = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
    points = mark.centre + np.stack([16 * np.sin(t) ** 3, down], 1) / 16 * mark.size
    if mark.rng.random() < 0.5:
        mark.fill(points)
    else:
        mark.line(*points, closed=True)


def _dot(mark: _Mark) -> None:
    x, y = (int(value) for value in mark.centre)
    radius = max(1, int(mark.size * mark.rng.uniform(0.05, 0.3)))
    cv2.circle(mark.ink, (x, y), radius, 1.0, -1, cv2.LINE_AA)


def _rectangle(mark: _Mark) -> None:
    half = mark.size * mark.rng.uniform(0.4, 1.6, 2)
    corners = mark.centre + half * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
    mark.line(*(corners + mark.rng.normal(0, 0.02 * mark.size, (4, 2))), closed=True)


_SKETCHES = (
    _arrow,
    _cross,
    _scrawl,
    _scrawl,
    _polygon,
    _star,
    _face,
    _wave,
    _zigzag,
    _spiral,
    _heart,
    _dot,
    _rectangle,
)


def ruling(ink: np.ndarray, spacing: float, tilt: float, squared: bool, rng: np.random.Generator) -> None:
    """Lines of ruled or squared paper, `spacing` pixels apart, tilted by `tilt` degrees."""
    height, width = ink.shape
    lines = np.zeros_like(ink)
    pen = 1 if rng.random() < 0.8 else 2
    offset = rng.uniform(0, spacing)
    for at in np.arange(offset - 4 * spacing, max(height, width) + 4 * spacing, spacing):
        stroke(lines, [(-60, at), (width + 60, at)], pen)
        if squared:
            stroke(lines, [(at, -60), (at, height + 60)], pen)
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), tilt, 1)
    np.maximum(ink, cv2.warpAffine(lines, matrix, (width, height)), out=ink)
