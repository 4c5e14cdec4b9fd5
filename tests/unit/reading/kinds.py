"""Kinds of handwriting that are easily misread, as curves that the examination's simulator does not have.

Each function draws one digit: Bézier curves (see `digits.evaluation.unseen_styles`), random in their proportions.
"""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np

from digits.evaluation.simulated_photos import photograph, random_conditions
from digits.evaluation.unseen_styles import UNSEEN_STYLES, Curve, oval, straight, stroke_of


def lines(*points: tuple[float, float]) -> Curve:
    """Straight lines from point to point."""
    return [points[0], *(at for start, end in pairwise(points) for at in straight(start, end)[1:])]


def four_in_two_strokes(rng):
    """Open, its upright apart from its corner."""
    gap, bar, upright = rng.uniform(0.05, 0.14), rng.uniform(0.5, 0.65), rng.uniform(0.62, 0.75)
    corner = lines((0.2, 0), (0.1, bar), (upright - gap, bar + rng.uniform(-0.03, 0.03)))
    return [corner, lines((upright + 0.02, rng.uniform(0, 0.25)), (upright, 1.0))]


def five_with_its_bar_apart(rng):
    """A body that begins below its bar, and does not touch it."""
    body = [
        (0.25, rng.uniform(0.11, 0.19)),
        (0.22, 0.2),
        (0.2, 0.3),
        (0.18, 0.45),
        (0.5, 0.3),
        (0.85, 0.5),
        (0.75, 0.75),
    ]
    bar = lines((0.27 + rng.uniform(0, 0.1), 0), (rng.uniform(0.7, 0.95), rng.uniform(-0.05, 0.02)))
    return [bar, [*body, (0.65, 1.0), (0.3, 1.02), (0.1, 0.9)]]


def nought_with_something_inside(rng):
    """A dot, or a short stroke."""
    inside = ((0.5, 0.47), (0.5, 0.53)) if rng.random() < 0.5 else ((0.38, 0.6), (0.62, 0.4))
    return [oval(0.5, 0.5, rng.uniform(0.6, 0.85), 1.0), lines(*inside)]


def four_with_a_small_triangle(rng):
    """Closed high up, above a long foot."""
    upright, bar = rng.uniform(0.6, 0.75), rng.uniform(0.42, 0.52)
    triangle = lines((upright, rng.uniform(0.05, 0.15)), (0.25, bar), (0.9, bar))
    return [triangle, lines((upright, 0.05), (upright, 1.0))]


def nine_with_a_bar(rng):
    """Its tail crossed, as people cross a 7."""
    tail = lines((0.7, 0.2), (0.7 + rng.uniform(-0.1, 0.05), 1.0))
    return [oval(0.45, 0.25, 0.5, 0.48), tail, lines((0.4, rng.uniform(0.62, 0.72)), (0.95, 0.65))]


def five_with_a_short_hook(rng):
    """In one stroke that begins with a hook instead of a bar."""
    hook = [
        (rng.uniform(0.55, 0.65), 0.0),
        (0.5, 0.06),
        (0.4, 0.08),
        (0.32, 0.04),
        (0.28, 0.2),
        (0.27, 0.3),
        (0.25, 0.42),
    ]
    return [[*hook, (0.5, 0.36), (0.85, 0.5), (0.78, 0.75), (0.7, 1.0), (0.35, 1.05), (0.12, 0.9)]]


def seven_with_curls(rng):
    """Its bar a wave."""
    bar = [
        (0.08, rng.uniform(0.15, 0.25)),
        (0.02, 0.02),
        (0.15, -0.02),
        (0.3, 0.06),
        (0.5, 0.14),
        (0.65, 0.1),
        (0.82, 0),
    ]
    return [bar, [(0.82, 0), (0.6, 0.35), (0.4, 0.6), (0.38, 1.0)]]


def four_like_a_phi(rng):
    """In one stroke, like the Greek letter."""
    reach = rng.uniform(0.75, 0.9)
    loop = [(0.15, 0.1), (0.0, 0.5), (0.1, 0.62), (0.45, 0.6), (reach, 0.58), (reach + 0.15, 0.3), (reach, 0.12)]
    return [[*loop, (0.65, -0.02), (0.5, 0.1), (0.5, 0.3), (0.5, 0.6), (0.48, 0.8), (0.45, 1.0)]]


KINDS: dict[str, tuple[int, Callable[[np.random.Generator], list[Curve]], dict[str, object]]] = {
    "4 in two strokes": (4, four_in_two_strokes, {}),
    "5 with its bar apart": (5, five_with_its_bar_apart, {}),
    "0 with something inside, touching the frame": (
        *(0, nought_with_something_inside),
        {"size": 0.97, "position": (0.0, 0.0), "rotation": 0.0},
    ),
    "4 with a small triangle": (4, four_with_a_small_triangle, {}),
    "9 with a bar": (9, nine_with_a_bar, {}),
    "5 with a short hook": (5, five_with_a_short_hook, {}),
    "7 with curls": (7, seven_with_curls, {}),
    "7 crossed": (*UNSEEN_STYLES["7 crossed"], {}),
    "1 thick, with a long up-stroke": (*UNSEEN_STYLES["1 with up-stroke"], {"stroke_width": 0.18}),
    "7 thin, on squared paper": (*UNSEEN_STYLES["7 with serif"], {"stroke_width": 0.03, "ruling": "squared"}),
    "4 like a phi": (4, four_like_a_phi, {}),
}
"""Name -> label, the function that draws its curves, and what its photo has in common with all of its kind."""


def photo_of(kind: str, seed: int) -> tuple[np.ndarray, int]:
    """A photo uint8 (H, W, 3) of one digit of a kind, as people take them, and its label."""
    label, curves, settings = KINDS[kind]
    rng = np.random.default_rng((seed, 77))
    stroke = stroke_of(curves, rng)
    return photograph(stroke, rng, replace(random_conditions(rng), **settings)), label
