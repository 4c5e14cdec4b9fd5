"""What reading a picture gives: its digits in reading order."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True, eq=False)
class ReadDigit:
    """One digit of a picture."""

    box: tuple[float, float, float, float]
    """Left, top, width and height, in pixels of the picture as EXIF shows it."""
    digit: int
    confidence: float
    """Probability that there is a digit and that it is this one, 0..1."""
    probabilities: np.ndarray
    """float32 (10,), sum 1: which digit it is, if it is one."""
    line: int
    """Its line, from 0, in reading order."""
    number: int
    """Its number (group of digits in a line), from 0, counted through all lines."""
    seen: np.ndarray | None = None
    """uint8 (28, 28): the digit as it is shown to people; for a picture of one digit, what the digit network saw."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Reading:
    """All digits of a picture in reading order, at least one."""

    digits: tuple[ReadDigit, ...]
    rotation: int
    """Degrees clockwise by which the picture was turned to be read: 0, 90, 180 or 270."""

    @property
    def numbers(self) -> list[str]:
        """The numbers as they were written, such as ["007", "42"]."""
        groups: dict[int, str] = {}
        for one in self.digits:
            groups[one.number] = groups.get(one.number, "") + str(one.digit)
        return list(groups.values())

    @property
    def text(self) -> str:
        """All digits: a space between the numbers of a line, a line break between lines."""
        text, previous = "", None
        for one in self.digits:
            if previous is not None and one.line != previous.line:
                text += "\n"
            elif previous is not None and one.number != previous.number:
                text += " "
            text, previous = text + str(one.digit), one
        return text
