"""A small picture that is cut tight to its digit, such as one of 8x8 pixels: it is looked at with paper around it.

The page network reads a digit that has paper on every side. Where ink reaches the frame, it sees none, or several.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from digits.config import IMAGE_SIZE
from digits.preprocessing.ink import percentile, resize_to
from digits.preprocessing.prepare import TINY
from digits.reading.detect import SMALL_SIDE
from digits.reading.merge import Found

PAPER = 0.25
"""Paper that is added on each side, as a fraction of the longer side."""
REACHES = 0.5
"""What differs from the paper by more than this fraction of the most that anything does, reaches the frame as ink."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Shown:
    """A picture as the page network is shown it."""

    grey: np.ndarray
    """uint8 (H, W)."""
    paper: int = 0
    """Paper that was added on each side, in pixels of the picture as it came."""
    scale: float = 1.0
    """Pixels of `grey` for one of the picture as it came."""

    def as_it_came(self, found: list[Found]) -> list[Found]:
        """Digits that were found here, in the frame of the picture as it came, turned or not."""
        if not self.paper:
            return found
        return [
            replace(
                one,
                x=one.x / self.scale - self.paper,
                y=one.y / self.scale - self.paper,
                width=one.width / self.scale,
                height=one.height / self.scale,
            )
            for one in found
        ]


def shown(grey: np.ndarray) -> Shown:
    """A picture uint8 (H, W), with paper around it and enlarged if it is small and its ink reaches the frame."""
    longer = max(grey.shape)
    if longer > TINY:
        return Shown(grey=grey)
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    colour = round(percentile(border, 50))
    if np.abs(border.astype(int) - colour).max() <= REACHES * np.abs(grey.astype(int) - colour).max():
        return Shown(grey=grey)
    paper = max(1, round(PAPER * longer))
    framed = cv2.copyMakeBorder(grey, paper, paper, paper, paper, cv2.BORDER_CONSTANT, value=colour)
    return Shown(grey=resize_to(framed, SMALL_SIDE), paper=paper, scale=SMALL_SIDE / max(framed.shape))


def in_paper(photo: np.ndarray) -> np.ndarray | None:
    """A small picture whose digit touches its frame, with paper around it, uint8 (1, 28, 28); None for any other."""
    seen = shown(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)) if max(photo.shape[:2]) <= TINY else None
    if seen is None or not seen.paper:
        return None
    return cv2.resize(seen.grey, (IMAGE_SIZE, IMAGE_SIZE), interpolation=cv2.INTER_AREA)[None]


def whole_of(photo: np.ndarray) -> np.ndarray | None:
    """A picture of 28x28 as the digit network takes it, uint8 (1, 28, 28); None for any other size."""
    if photo.shape[:2] != (IMAGE_SIZE, IMAGE_SIZE):
        return None
    return cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)[None]
