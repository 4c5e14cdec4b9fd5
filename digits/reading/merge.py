"""What scales agree on: candidates that are the same digit become one, and the unlikely ones are left out."""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass

import numpy as np

from digits.reading.detect import KNOWN, Candidates, scales_of

SAME_OVERLAP, INSIDE_OVERLAP = 0.3, 0.55
"""Candidates are one digit where they share this fraction of their union, or of the smaller one."""
ALONE = 0.45
"""What a digit's confidence keeps where only one of the scales that should see it does."""
MOST_FOUND = 4000
"""Digits, likely or not, after which no more are looked for: noise and dense print give up to 3000."""
ODD_SIZE, SURE = 2.6, 0.6
"""A digit that is this confident may be so many times higher or lower than the page's typical one, if more than others
may: what letters and boxes beside digits are taken for is mostly less (docs/log.md, "Digits of several sizes")."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Found:
    """One digit that was found."""

    x: float
    y: float
    """Its middle, in pixels of the picture that was looked at."""
    width: float
    height: float
    confidence: float
    """Probability of a centre, times that of the digit, less where not all scales agree."""
    probabilities: np.ndarray
    """float32 (10,)."""
    strength: float = 1.0
    """Contrast of its ink (see `reading.ink_strength`); 1 where it was not measured."""

    @property
    def digit(self) -> int:
        """The most probable digit."""
        return int(self.probabilities.argmax())


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """Confidences, chosen on simulated pages, below which nothing is answered."""

    digit: float = 0.25
    """Of a digit."""
    relative: float = 0.4
    """Of a digit, as a fraction of what the better half of the picture's digits have."""
    alike: float = 2.5
    """How many times higher or lower than the page's typical digit a digit may be."""
    page: float = 0.5
    """Of the better half of a picture's digits: below it the picture shows no digit."""
    faint: float = 0.0
    """How strong a digit's ink must be, as a fraction of what is typical of the page: else it shows through."""


def overlaps(boxes: np.ndarray, areas: np.ndarray, row: int, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shared area of one box with others, over the union and over the smaller: float (M,), float (M,).

    `boxes` are float (N, 4), left, top, right, bottom.
    """
    low = np.maximum(boxes[others, :2], boxes[row, :2])
    high = np.minimum(boxes[others, 2:], boxes[row, 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=1)
    return shared / (areas[others] + areas[row] - shared), shared / np.minimum(areas[others], areas[row])


class Neighbours:
    """Which boxes may overlap one: time and memory grow with the boxes on a page, not with their square."""

    def __init__(self, boxes: np.ndarray, scales: np.ndarray) -> None:
        """Of boxes float (N, 4), left, top, right, bottom, seen at scales (N,): those of one scale are of like size."""
        self.boxes = boxes
        self.sorted: list[tuple[np.ndarray, list[float], float]] = []
        for scale in np.unique(scales):
            rows = np.flatnonzero(scales == scale)
            rows = rows[np.argsort(boxes[rows, 1], kind="stable")]
            tops = boxes[rows, 1]
            self.sorted.append((rows, tops.tolist(), float((boxes[rows, 3] - tops).max())))

    def of(self, row: int) -> np.ndarray:
        """Rows, in ascending order, of all boxes that share some height with that of one row."""
        _, top, _, bottom = self.boxes[row].tolist()
        parts = [
            rows[bisect_left(tops, top - highest) : bisect_right(tops, bottom)] for rows, tops, highest in self.sorted
        ]
        return np.sort(np.concatenate(parts))


def merged(candidates: Candidates, shape: tuple[int, ...], finest: float | None = None) -> list[Found]:
    """One digit for all candidates at the same place, the best first, and the best MOST_FOUND of them only.

    Args:
        candidates: of one turn.
        shape: of the picture, (height, width): says which scales should have seen a digit.
        finest: scale that was looked at beside them, around small digits only.
    """
    candidates = candidates[np.argsort(-(candidates.peaks * candidates.fits), kind="stable")]
    weights = candidates.peaks * candidates.fits
    middle, size = candidates.boxes[:, :2], candidates.boxes[:, 2:]
    boxes = np.concatenate([middle - size / 2, middle + size / 2], 1)
    areas = np.prod(size, axis=1)
    scales = np.array([*scales_of(shape), *([finest] if finest else [])])
    near = Neighbours(boxes, candidates.scales)
    left = np.ones(len(candidates), bool)
    found: list[Found] = []
    for row in range(len(candidates)):
        if not left[row]:
            continue
        if len(found) == MOST_FOUND:
            break
        left[row] = False
        others = near.of(row)
        others = others[left[others]]
        union, smaller = overlaps(boxes, areas, row, others)
        taken = (union > SAME_OVERLAP) | (smaller > INSIDE_OVERLAP)
        same = np.concatenate([[row], others[taken & (union > SAME_OVERLAP)]])
        left[others[taken]] = False
        probabilities = (candidates.digits[same] * weights[same, None]).sum(0)
        probabilities /= probabilities.sum()
        longer = float(size[row].max())
        due = int(np.sum((scales * longer >= KNOWN[0] * 1.3) & (scales * longer <= KNOWN[1] * 0.85)))
        seen = len(set(candidates.scales[same].tolist()))
        agreement = ALONE + (1 - ALONE) * min(1.0, seen / max(1, due))
        found.append(
            Found(
                x=float(middle[row, 0]),
                y=float(middle[row, 1]),
                width=float(size[row, 0]),
                height=float(size[row, 1]),
                confidence=float(candidates.peaks[row] * probabilities.max() * agreement),
                probabilities=probabilities.astype(np.float32),
            )
        )
    return found


def likely(found: list[Found], thresholds: Thresholds) -> list[Found]:
    """Those that are answered: none where the better half of them is not sure enough."""
    kept = [one for one in found if one.confidence > thresholds.digit]
    if not kept:
        return []
    sizes = np.log([max(one.height, 0.7 * one.width) for one in kept])
    weights = np.array([one.confidence**2 for one in kept])
    off = np.abs(sizes - weighted_median(sizes, weights))
    weakest = thresholds.faint * weighted_median(np.array([one.strength for one in kept]), weights)
    sure = np.array([one.confidence >= SURE for one in kept])
    alike = off <= np.log(np.where(sure, max(ODD_SIZE, thresholds.alike), thresholds.alike))
    kept = [one for one, like in zip(kept, alike, strict=True) if like and one.strength >= weakest]
    confidences = sorted((one.confidence for one in kept), reverse=True)
    better = float(np.mean(confidences[: max(1, len(confidences) // 2)]))
    if better < thresholds.page:
        return []
    return [one for one in kept if one.confidence > thresholds.relative * better]


def weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    """The value below and above which half of the weight lies; float (N,) each, at least one."""
    order = np.argsort(values)
    heaped = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(heaped, heaped[-1] / 2)])
