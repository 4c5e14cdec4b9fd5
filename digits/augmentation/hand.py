"""A person's hand and pen: strokes as random as handwriting, drawn and fitted into the frame as in MNIST.

For training only: letterforms.py writes whole digits with it, distort.py fits distorted ones into the frame. A stroke
is a path, float (K, 2) points in a unit box, x to the right, y downwards; a digit is a list of strokes.
"""

import math
import random
from collections.abc import Sequence

import cv2
import numpy as np

from digits.config import IMAGE_SIZE, MNIST_BOX, MNIST_CENTRE

INK = 40
"""Grey value, 0..255, from which a pixel counts as ink."""
DRAWING_SIZE = 72
"""Side of the canvas that strokes are drawn on, in pixels."""
UNIT = 44
"""Height of a letterform on the canvas, in pixels."""

NIBS = (
    np.eye(4, dtype=np.uint8),
    np.eye(6, dtype=np.uint8),
    np.fliplr(np.eye(5, dtype=np.uint8)),
    np.ones((1, 5), np.uint8),
    np.ones((2, 6), np.uint8),
    np.ones((5, 2), np.uint8),
)
"""Broad nibs at the angles at which they are held, in canvas pixels."""

Strokes = list[np.ndarray]
Points = Sequence[tuple[float, float]]

_STEPS = np.linspace(0, 1, 7)[:-1, None]
_BLEND = 0.5 * np.concatenate(
    [
        -_STEPS + 2 * _STEPS**2 - _STEPS**3,
        2 - 5 * _STEPS**2 + 3 * _STEPS**3,
        _STEPS + 4 * _STEPS**2 - 3 * _STEPS**3,
        -(_STEPS**2) + _STEPS**3,
    ],
    axis=1,
)
"""Catmull-Rom weights of four neighbouring points, for each step along a segment: float (6, 4)."""


class Hand:
    """What is random in one person's writing; every letterform draws its proportions from it."""

    def __init__(self, seed: int) -> None:
        chance = random.Random(seed)
        self.between = chance.uniform
        self.choose = chance.choice
        self.haste = chance.uniform(0.5, 2.0)
        self._chance = chance

    def near(self, value: float, spread: float) -> float:
        """A normal draw around `value`."""
        return self._chance.gauss(value, spread)

    def maybe(self, probability: float) -> bool:
        """True with this probability."""
        return self._chance.random() < probability

    def shaky(self, points: Points, spread: float = 0.02) -> np.ndarray:
        """The points, each a little off, and more so in a hasty hand than in a calm one: float (K, 2)."""
        spread *= self.haste
        return np.array([(self.near(x, spread), self.near(y, spread)) for x, y in points])

    def line(self, *points: tuple[float, float]) -> np.ndarray:
        """A path with corners at the points: float (K, 2)."""
        return self.shaky(points, 0.012)

    def curve(self, *points: tuple[float, float], spread: float = 0.02) -> np.ndarray:
        """A smooth path through the points: float (K, 2)."""
        return smooth(self.shaky(points, spread))

    def loop(self, x: float, y: float, width: float, height: float, start: float, sweep: float) -> np.ndarray:
        """A turn of `sweep` degrees around (x, y) from `start` (0 right, 90 below): float (K, 2).

        Its radius drifts and its outline is uneven, as when drawn by hand; a positive sweep is clockwise.
        """
        count = max(4, round(abs(sweep) / 40))
        angles = np.radians(np.linspace(start, start + sweep, count))
        drift = np.linspace(1, self.near(1, 0.06), count)
        path = np.stack([x + width / 2 * drift * np.cos(angles), y + height / 2 * drift * np.sin(angles)], axis=1)
        return smooth(path + self.shaky([(0, 0)] * count, 0.012))


def smooth(points: np.ndarray) -> np.ndarray:
    """A Catmull-Rom path through float (K, 2) points, six steps to a segment: float (6 (K - 1) + 1, 2)."""
    padded = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    windows = np.stack([padded[offset : offset + len(points) - 1] for offset in range(4)], axis=1)
    return np.concatenate([(_BLEND @ windows).reshape(-1, 2), points[-1:]])


def slanted(stroke: np.ndarray, slant: float) -> np.ndarray:
    """The stroke leaning to the right by `slant` units of x per unit of height: float (K, 2)."""
    return stroke @ np.array([[1.0, 0.0], [-slant, 1.0]])


def add_tail(hand: Hand, strokes: Strokes) -> None:
    """Lengthen one end of a stroke by a short bent tail, in place."""
    index = hand.choose(range(len(strokes)))
    stroke = strokes[index]
    at_start = hand.maybe(0.5)
    path = stroke[::-1] if at_start else stroke
    heading = path[-1] - path[-2]
    heading = heading / max(float(np.hypot(*heading)), 1e-6)
    turn, reach = hand.near(0, 0.9), hand.between(0.06, 0.22)
    cos, sin = math.cos(turn), math.sin(turn)
    bent = np.array([heading[0] * cos - heading[1] * sin, heading[0] * sin + heading[1] * cos])
    tail = smooth(np.array([path[-1], path[-1] + heading * reach / 2, path[-1] + (heading + bent) * reach / 2]))
    path = np.concatenate([path, tail])
    strokes[index] = path[::-1] if at_start else path


def draw(strokes: Strokes, pen: float, nib: np.ndarray | None = None) -> np.ndarray:
    """The strokes drawn with a round pen of about `pen` canvas pixels and fitted as in MNIST: uint8 (28, 28).

    With a `nib`, a uint8 kernel, the line is as wide as the nib where it runs across it, and fine along it.
    """
    canvas: np.ndarray = np.zeros((DRAWING_SIZE, DRAWING_SIZE), np.uint8)
    corner = (DRAWING_SIZE - UNIT) / 2
    paths = [np.rint((stroke * UNIT + corner) * 16).astype(np.int32) for stroke in strokes]
    if nib is None:
        cv2.polylines(canvas, paths, False, 255, max(1, round(pen)), cv2.LINE_8, shift=4)
    else:
        cv2.polylines(canvas, paths, False, 255, 2, cv2.LINE_8, shift=4)
        canvas = cv2.dilate(canvas, nib)
    return place(cv2.GaussianBlur(canvas, (3, 3), 0))


def place(canvas: np.ndarray, side: float = MNIST_BOX, x: float = MNIST_CENTRE, y: float = MNIST_CENTRE) -> np.ndarray:
    """The ink on a uint8 canvas scaled into a box of `side` pixels, its centre of mass at (x, y): uint8 (28, 28)."""
    _, ink = cv2.threshold(canvas, INK, 255, cv2.THRESH_TOZERO)
    _, _, width, height = cv2.boundingRect(ink)
    moments = cv2.moments(ink)
    if moments["m00"] == 0:
        return np.zeros((IMAGE_SIZE, IMAGE_SIZE), np.uint8)
    scale = side / max(width, height)
    shift_x = x - scale * moments["m10"] / moments["m00"]
    shift_y = y - scale * moments["m01"] / moments["m00"]
    matrix = np.array([[scale, 0, shift_x], [0, scale, shift_y]])
    return cv2.warpAffine(canvas, matrix, (IMAGE_SIZE, IMAGE_SIZE), flags=cv2.INTER_LINEAR)
