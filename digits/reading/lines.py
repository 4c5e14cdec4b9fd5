"""Reading order: digits of a page to lines, level or slanted up to 20 degrees, and lines to numbers."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from digits.reading.merge import Found

STEEPEST = 0.42
"""Largest slope of a line: a little over 20 degrees."""
FARTHEST = 6.0
"""Farthest right neighbour in a line, in heights of a digit."""
LEVEL = 0.6
"""A neighbour in the line is no higher or lower than this, in heights, against the page's slope."""
APART = 0.5
"""Lines whose middles are less apart than this, in heights, are one."""
NUMBER_GAP, TYPICAL_GAP = 0.75, 2.2
"""A gap in a line that divides numbers: at least so many heights, and so many times the line's typical gap."""


def lines_of(found: list[Found]) -> list[list[Found]]:
    """Lines from top to bottom, each from left to right."""
    if not found:
        return []
    digits = sorted(found, key=lambda one: one.x)
    x, y = np.array([one.x for one in digits]), np.array([one.y for one in digits])
    heights = np.array([one.height for one in digits])
    typical = float(np.median(heights))
    slope = _slope(x, y, heights, typical)
    groups = _chained(x, y, heights, typical, slope)
    levels = [float(np.mean(y[group] - slope * x[group])) for group in groups]
    lines: list[tuple[float, list[int]]] = []
    for level, group in sorted(zip(levels, groups, strict=True)):
        if lines and level - lines[-1][0] < APART * typical:
            before, members = lines[-1]
            joined = members + group
            lines[-1] = ((before * len(members) + level * len(group)) / len(joined), joined)
        else:
            lines.append((level, group))
    return [[digits[index] for index in sorted(group, key=lambda index: x[index])] for _, group in lines]


def _to_the_right(
    x: np.ndarray, y: np.ndarray, heights: np.ndarray, typical: float
) -> Iterator[tuple[int, np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Of each digit of a page, float (N,) each and sorted by x: those that lie near enough to its right.

    Gives the digit's row, and of M others their rows, how far they lie to the right and below, and the height of the
    higher one of both, (M,) each: never a table of all with all, whose memory grows with the square of the digits.
    """
    first = np.searchsorted(x, x, side="right")
    last = np.searchsorted(x, x + FARTHEST * max(float(heights.max()), 0.8 * typical), side="right")
    for row, (start, stop) in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
        dx = x[start:stop] - x[row]
        tall = np.maximum(np.maximum(heights[start:stop], heights[row]), 0.8 * typical)
        near = dx < FARTHEST * tall
        if near.any():
            yield row, start + np.flatnonzero(near), dx[near], y[start:stop][near] - y[row], tall[near]


def _slope(x: np.ndarray, y: np.ndarray, heights: np.ndarray, typical: float) -> float:
    """The page's slope: the median over pairs of neighbours."""
    slopes = []
    for _, _, dx, dy, tall in _to_the_right(x, y, heights, typical):
        cost = np.where(np.abs(dy) < 0.75 * tall, dx + 2.5 * np.abs(dy), np.inf)
        best = int(cost.argmin())
        if np.isfinite(cost[best]) and dx[best] > 0.4 * typical:
            slopes.append(dy[best] / dx[best])
    return float(np.clip(np.median(slopes), -STEEPEST, STEEPEST)) if slopes else 0.0


def _chained(x: np.ndarray, y: np.ndarray, heights: np.ndarray, typical: float, slope: float) -> list[list[int]]:
    """Chains of digits: each with its best right neighbour, unless that one has a better left neighbour."""
    before: dict[int, tuple[int, float]] = {}
    for row, others, dx, dy, _ in _to_the_right(x, y, heights, typical):
        off = np.abs(dy - slope * dx)
        forward = np.where(off < LEVEL * max(float(heights[row]), 0.7 * typical), dx + 2.5 * off, np.inf)
        best = int(forward.argmin())
        if np.isfinite(forward[best]):
            right, backward = int(others[best]), float(off[best] + 0.3 * dx[best])
            if right not in before or backward < before[right][1]:
                before[right] = (row, backward)
    group_of = list(range(len(x)))
    groups: dict[int, list[int]] = {}
    for row in range(len(x)):  # sorted by x: the left one's group is settled
        if row in before:
            group_of[row] = group_of[before[row][0]]
        groups.setdefault(group_of[row], []).append(row)
    return list(groups.values())


def numbers_of(line: list[Found]) -> list[int]:
    """For each digit of a line the number of its group in the line, from 0: wide gaps divide."""
    gaps = [right.x - right.width / 2 - (left.x + left.width / 2) for left, right in pairwise(line)]
    height = float(np.median([one.height for one in line]))
    typical = float(np.median(np.maximum(gaps, 0))) if gaps else 0.0
    widest = max(NUMBER_GAP * height, TYPICAL_GAP * typical)
    return np.concatenate([[0], np.cumsum(np.array(gaps) > widest)]).astype(int).tolist()
