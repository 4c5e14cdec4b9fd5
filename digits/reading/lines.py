"""Reading order: digits of a page to lines, level or slanted up to 20 degrees, and lines to numbers."""

from itertools import pairwise
from typing import Any

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
    tall = np.maximum(np.maximum(heights[:, None], heights[None, :]), 0.8 * typical)
    dx, dy = x[None, :] - x[:, None], y[None, :] - y[:, None]
    slope = _slope(dx, dy, tall, typical)
    off = np.abs(dy - slope * dx)
    near = (dx > 0) & (dx < FARTHEST * tall) & (off < LEVEL * np.maximum(heights[:, None], 0.7 * typical))
    groups = _chained(np.where(near, dx + 2.5 * off, np.inf), np.where(near, off + 0.3 * dx, np.inf))
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


def _slope(dx: np.ndarray, dy: np.ndarray, tall: np.ndarray, typical: float) -> float:
    """The page's slope: the median over pairs of neighbours."""
    cost = np.where((dx > 0) & (np.abs(dy) < 0.75 * tall) & (dx < FARTHEST * tall), dx + 2.5 * np.abs(dy), np.inf)
    rows = np.flatnonzero(np.isfinite(cost).any(1))
    right = cost[rows].argmin(1)
    pairs = dx[rows, right] > 0.4 * typical
    if not pairs.any():
        return 0.0
    slopes = dy[rows, right][pairs] / dx[rows, right][pairs]
    return float(np.clip(np.median(slopes), -STEEPEST, STEEPEST))


def _chained(forward: np.ndarray, backward: np.ndarray) -> list[list[int]]:
    """Chains of digits: each with its best right neighbour, unless that one has a better left neighbour."""
    count = len(forward)
    after: dict[Any, Any] = {}
    for index in range(count):
        best = int(forward[index].argmin())
        if np.isfinite(forward[index, best]):
            held = after.get(best)
            if held is None or backward[index, best] < backward[held, best]:
                after[best] = index
    group_of = list(range(count))
    for right in range(count):  # sorted by x: the left one's group is settled
        if right in after:
            group_of[right] = group_of[after[right]]
    return [[i for i in range(count) if group_of[i] == group] for group in sorted(set(group_of))]


def numbers_of(line: list[Found]) -> list[int]:
    """For each digit of a line the number of its group in the line, from 0: wide gaps divide."""
    gaps = [right.x - right.width / 2 - (left.x + left.width / 2) for left, right in pairwise(line)]
    height = float(np.median([one.height for one in line]))
    typical = float(np.median(np.maximum(gaps, 0))) if gaps else 0.0
    widest = max(NUMBER_GAP * height, TYPICAL_GAP * typical)
    return np.concatenate([[0], np.cumsum(np.array(gaps) > widest)]).astype(int).tolist()
