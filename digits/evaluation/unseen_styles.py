"""Digits in styles of writing that MNIST hardly shows, for evaluation only: one factor of the report.

MNIST was written by Americans. Each style here is a few Bézier curves whose points move at random. Nothing is shared
with the styles that training may add, so a score on these tells how well unseen handwriting is read.
"""

from collections.abc import Callable

import cv2
import numpy as np

from digits.evaluation.simulated_ink import MASK_SIZE, Stroke, trace_mask

MARGIN = 18
"""Width of the empty border, in mask pixels."""
PEN_WIDTH = 9
"""Width of the line, in mask pixels, about MNIST's; the simulated pen gives it another one."""

Curve = list[tuple[float, float]]
"""Control points (x, y) of one stroke, each 0..1 from left to right and from top to bottom: one cubic after another."""


def written(style: str, rng: np.random.Generator) -> Stroke:
    """The stroke of one digit in a style of UNSEEN_STYLES, different in every call."""
    _, curves = UNSEEN_STYLES[style]
    return stroke_of(curves, rng)


def stroke_of(curves: Callable[[np.random.Generator], list[Curve]], rng: np.random.Generator) -> Stroke:
    """The stroke that curves make, slanted, stretched and shaken by a hand; they are drawn from `rng`, too."""
    slant, breadth = rng.normal(0, 0.1), np.exp(rng.normal(0, 0.12))
    mask = np.zeros((MASK_SIZE, MASK_SIZE), np.uint8)
    lines = []
    for curve in curves(rng):
        points = np.array(curve) + rng.normal(0, 0.015, (len(curve), 2))
        line = np.concatenate([_cubic(points[start : start + 4]) for start in range(0, len(points) - 1, 3)])
        lines.append(np.column_stack([breadth * line[:, 0] - slant * (line[:, 1] - 0.5), line[:, 1]]))
    # The whole digit fits into the mask, its proportions kept.
    low, high = np.min([line.min(0) for line in lines], 0), np.max([line.max(0) for line in lines], 0)
    scale = (MASK_SIZE - 2 * MARGIN) / max(high - low)
    for line in lines:
        points = (line - (low + high) / 2) * scale + MASK_SIZE / 2
        cv2.polylines(mask, [np.rint(points * 16).astype(np.int32)], False, 1, PEN_WIDTH, cv2.LINE_8, 4)
    return trace_mask(mask)


def _cubic(points: np.ndarray) -> np.ndarray:
    """float (4, 2) control points -> float (24, 2) points of the Bézier curve."""
    t = np.linspace(0, 1, 24)[:, None]
    return (
        ((1 - t) ** 3) * points[0]
        + 3 * t * (1 - t) ** 2 * points[1]
        + 3 * t**2 * (1 - t) * points[2]
        + t**3 * points[3]
    )


def straight(start: tuple[float, float], end: tuple[float, float], bend: float = 0.0) -> Curve:
    """One stroke between two points, bowed sideways by `bend` of its length."""
    (x0, y0), (x1, y1) = start, end
    dx, dy = x1 - x0, y1 - y0
    return [
        start,
        (x0 + dx / 3 - bend * dy, y0 + dy / 3 + bend * dx),
        (x0 + 2 * dx / 3 - bend * dy, y0 + 2 * dy / 3 + bend * dx),
        end,
    ]


def oval(x: float, y: float, width: float, height: float, start: float = 0.0, turns: float = 1.0) -> Curve:
    """An oval around (x, y), counter-clockwise from the angle `start`; angles in turns, 0 at the right."""
    quarters = 4 * turns
    count = int(np.ceil(quarters))
    reach = 4 / 3 * np.tan(np.pi / 2 * quarters / count / 4)
    angles = 2 * np.pi * (start + turns * np.arange(count + 1) / count)
    at = np.column_stack([np.cos(angles), -np.sin(angles)])
    along = np.column_stack([-np.sin(angles), -np.cos(angles)]) * reach
    curve = [at[0]]
    for index in range(count):
        curve += [at[index] + along[index], at[index + 1] - along[index + 1], at[index + 1]]
    return [(x + width / 2 * px, y + height / 2 * py) for px, py in curve]


def _one_with_up_stroke(rng: np.random.Generator) -> list[Curve]:
    length, lean = rng.uniform(0.3, 0.65), rng.uniform(0.35, 0.9)
    top = (0.6, 0.0)
    begin = (top[0] - length * np.sin(lean), length * np.cos(lean))
    return [straight(begin, top, rng.uniform(-0.1, 0.1)), straight(top, (0.6 + rng.normal(0, 0.05), 1.0))]


def _one_with_foot(rng: np.random.Generator) -> list[Curve]:
    half = rng.uniform(0.15, 0.35)
    flag = rng.uniform(0.1, 0.3)
    return [
        straight((0.5 - flag, rng.uniform(0.1, 0.3)), (0.5, 0.0)),
        straight((0.5, 0.0), (0.5, 1.0)),
        straight((0.5 - half, 1.0), (0.5 + half, 1.0)),
    ]


def _crossed_seven(rng: np.random.Generator) -> list[Curve]:
    foot, height = rng.uniform(0.2, 0.45), rng.uniform(0.42, 0.6)
    middle = 0.8 + (foot - 0.8) * height
    half = rng.uniform(0.14, 0.28)
    tilt = rng.uniform(-0.06, 0.04)
    return [
        straight((0.1, 0.03), (0.8, 0.0), rng.uniform(-0.06, 0.06)),
        straight((0.8, 0.0), (foot, 1.0), rng.uniform(-0.02, 0.08)),
        straight((middle - half, height - tilt), (middle + half, height + tilt)),
    ]


def _seven_with_serif(rng: np.random.Generator) -> list[Curve]:
    drop = rng.uniform(0.12, 0.28)
    return [
        straight((0.1 + rng.uniform(-0.03, 0.03), drop), (0.12, 0.02)),
        straight((0.12, 0.02), (0.8, 0.0)),
        straight((0.8, 0.0), (rng.uniform(0.25, 0.5), 1.0), rng.uniform(0, 0.1)),
    ]


def _curled_nine(rng: np.random.Generator) -> list[Curve]:
    width, height, curl = rng.uniform(0.42, 0.6), rng.uniform(0.4, 0.52), rng.uniform(0.3, 0.55)
    right = 0.4 + width / 2
    tail = [
        (right, height / 2),
        (right + 0.05, 0.7),
        (right - 0.05, 1.0),
        (right - curl / 2, 1.0),
        (right - curl * 0.8, 1.0),
        (right - curl, 0.97),
        (right - curl, rng.uniform(0.78, 0.9)),
    ]
    return [oval(0.4, height / 2, width, height, rng.uniform(0, 0.12)), tail]


def _open_four(rng: np.random.Generator) -> list[Curve]:
    bar, upright = rng.uniform(0.5, 0.65), rng.uniform(0.55, 0.72)
    return [
        straight((rng.uniform(0.1, 0.3), 0.0), (rng.uniform(0.05, 0.15), bar), rng.uniform(-0.06, 0.03)),
        straight((0.1, bar), (0.9, bar + rng.uniform(-0.05, 0.03))),
        straight((upright, rng.uniform(0.0, 0.3)), (upright + rng.uniform(-0.06, 0.03), 1.0)),
    ]


def _closed_four(rng: np.random.Generator) -> list[Curve]:
    bar, upright = rng.uniform(0.58, 0.72), rng.uniform(0.58, 0.7)
    return [
        straight((upright, 0.0), (0.05, bar)),
        straight((0.05, bar), (rng.uniform(0.8, 0.95), bar)),
        straight((upright, 0.0), (upright, 1.0)),
    ]


def _looped_two(rng: np.random.Generator) -> list[Curve]:
    loop = rng.uniform(0.1, 0.18)
    arc = [(0.15, 0.2), (0.25, -0.1), (0.8, -0.08), (0.75, 0.3), (0.7, 0.6), (0.4, 0.85), (0.18, 0.97)]
    knot = [
        (0.18, 0.97),
        (0.05, 1.02),
        (0.05, 0.97 - 2 * loop),
        (0.2, 0.95 - loop),
        (0.4, 0.95),
        (0.6, 1.1),
        (0.9, 0.9),
    ]
    return [arc, knot]


def _slashed_nought(rng: np.random.Generator) -> list[Curve]:
    width, over = rng.uniform(0.55, 0.75), rng.uniform(-0.08, 0.06)
    begin, end = (0.5 + width * (0.35 + over), 0.2 - over), (0.5 - width * (0.35 + over), 0.8 + over)
    return [oval(0.5, 0.5, width, 1.0, 0.25), straight(begin, end)]


def _flat_topped_three(rng: np.random.Generator) -> list[Curve]:
    neck = (rng.uniform(0.35, 0.5), rng.uniform(0.36, 0.46))
    bowl = [neck, (0.75, 0.38), (0.9, 0.6), (0.8, 0.82), (0.7, 1.05), (0.3, 1.03), (0.12, 0.85)]
    return [straight((0.15, 0.0), (0.78, 0.0)), straight((0.78, 0.0), neck), bowl]


def _five_in_one_stroke(rng: np.random.Generator) -> list[Curve]:
    reach = rng.uniform(0.75, 0.95)
    return [
        [
            (reach, 0.02),
            (0.6, 0.0),
            (0.3, 0.02),
            (0.25, 0.15),
            (0.15, 0.4),
            (0.3, 0.42),
            (0.5, 0.45),
            (0.95, 0.52),
            (0.9, 1.0),
            (0.45, 1.0),
            (0.3, 1.0),
            (0.18, 0.95),
            (0.12, rng.uniform(0.82, 0.9)),
        ]
    ]


def _eight_of_two_rings(rng: np.random.Generator) -> list[Curve]:
    waist = rng.uniform(0.42, 0.5)
    upper, lower = rng.uniform(0.4, 0.55), rng.uniform(0.5, 0.65)
    return [oval(0.5, waist / 2, upper, waist, 0.75), oval(0.5, (1 + waist) / 2, lower, 1 - waist, 0.25)]


UNSEEN_STYLES: dict[str, tuple[int, Callable[[np.random.Generator], list[Curve]]]] = {
    "0 slashed": (0, _slashed_nought),
    "1 with up-stroke": (1, _one_with_up_stroke),
    "1 with foot": (1, _one_with_foot),
    "2 looped": (2, _looped_two),
    "3 flat top": (3, _flat_topped_three),
    "4 open": (4, _open_four),
    "4 closed": (4, _closed_four),
    "5 in one stroke": (5, _five_in_one_stroke),
    "7 crossed": (7, _crossed_seven),
    "7 with serif": (7, _seven_with_serif),
    "8 of two rings": (8, _eight_of_two_rings),
    "9 curled": (9, _curled_nine),
}
"""Name of a style -> its label and the function that draws its curves."""
STYLES_OF: dict[int, list[str]] = {
    label: [style for style, (shown, _) in UNSEEN_STYLES.items() if shown == label] for label in range(10)
}
"""Names of the unseen styles of each label."""
