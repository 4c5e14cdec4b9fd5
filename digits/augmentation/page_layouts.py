"""How digits stand on training's simulated pages: in lines, packed, in tables, in printed boxes, anywhere.

Beside them letters, sketches, rulings and printed words; digits too large for the scale. All of it on a Sheet.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from digits.augmentation import page_letters, page_marks
from digits.augmentation.page_digits import DigitShapes, drawn_digit, lay
from digits.augmentation.page_marks import log_uniform, stroke

SIDE = 192
"""Side of a square in pixels."""
SMALLEST, LARGEST = 9.0, 68.0
"""Heights of digits that are labelled, in pixels; smaller and larger ones belong to other scales."""
DigitBox = tuple[float, float, float, float, int]
"""Left, top, right and bottom in pixels, and the digit."""


@dataclass(kw_only=True)
class Sheet:
    """A square while it is being written."""

    shapes: DigitShapes
    rng: np.random.Generator
    height: float
    """Typical height of its digits, in pixels."""
    tilt: float
    """Of its lines, clockwise, in degrees."""

    def __post_init__(self) -> None:
        self.ink = np.zeros((SIDE, SIDE), np.float32)
        self.printed = np.zeros((SIDE, SIDE), np.float32)
        self.ignored = np.zeros((SIDE, SIDE), bool)
        self.digits: list[DigitBox] = []
        pen = log_uniform(self.rng, 0.035, 0.22)
        self.pen = max(pen, 1.0 / self.height)
        self.own_width = 0.25 if self.rng.random() < 0.8 else 1.0
        self.label = int(self.rng.integers(10)) if self.rng.random() < 0.1 else None

    def write(self, x: float, y: float, height: float) -> float | None:
        """Write one digit with its left edge at x and its middle at y, before the tilt; returns its width."""
        rng = self.rng
        label = self.label if self.label is not None and rng.random() < 0.95 else int(rng.integers(10))
        pen = None if rng.random() < self.own_width else self.pen * float(np.exp(rng.normal(0, 0.1)))
        angle = rng.normal(0, 4) - self.tilt
        patch, (left, top, right, bottom) = drawn_digit(
            self.shapes, self.shapes.draw(label, rng), height, pen, angle, rng
        )
        width = right - left
        if width < 2:
            return None
        across = x + width / 2
        down = y + (across - SIDE / 2) * math.tan(math.radians(self.tilt)) + rng.normal(0, 0.05) * height
        shift_x, shift_y = round(across - (left + right) / 2), round(down - (top + bottom) / 2)
        lay(self.ink, patch * np.float32(1 if rng.random() < 0.85 else rng.uniform(0.5, 1)), shift_x, shift_y)
        self._label((left + shift_x, top + shift_y, right + shift_x, bottom + shift_y), label)
        return width

    def _label(self, box: tuple[float, float, float, float], label: int) -> None:
        """Note a digit: as a box where it is seen whole and of a size to be read, else as ignored."""
        left, top, right, bottom = (int(min(max(value, 0), SIDE)) for value in box)
        area = (box[2] - box[0]) * (box[3] - box[1])
        seen = (right - left) * (bottom - top) / max(1, area)
        size = max(box[2] - box[0], box[3] - box[1])
        if seen > 0.8 and SMALLEST <= size <= LARGEST:
            self.digits.append((*box, label))
        elif seen > 0 and size <= 1.6 * LARGEST:
            self.ignored[top:bottom, left:right] = True

    def covered(self, margin: int = 3) -> np.ndarray:
        """bool (192, 192): where digits are, with a margin in pixels."""
        mask = np.zeros((SIDE, SIDE), np.uint8)
        for left, top, right, bottom, _ in self.digits:
            low = (round(left) - margin, round(top) - margin)
            cv2.rectangle(mask, low, (round(right) + margin, round(bottom) + margin), 1, -1)
        return mask > 0

    def add(self, layer: np.ndarray, extra: np.ndarray) -> None:
        """Lay something over ink or print that mostly stays off the digits."""
        if self.digits and self.rng.random() < 0.9:
            extra = extra * ~self.covered()
        np.maximum(layer, extra, out=layer)


def _rows(sheet: Sheet) -> None:
    """Lines of digits, touching to far apart, also in groups."""
    rng, height = sheet.rng, sheet.height
    most = int(rng.integers(1, 40)) if rng.random() < 0.9 else 1
    pitch = height * rng.uniform(1.12, 2.4)
    gaps = ((-0.1, 0.08), (0.03, 0.45), (0.3, 1.3), (-0.08, 1.0))[rng.choice(4, p=(0.22, 0.4, 0.25, 0.13))]
    y = rng.uniform(-0.2, 1) * pitch - 0.25 * SIDE * abs(math.tan(math.radians(sheet.tilt)))
    y = rng.uniform(0.1, 0.8) * SIDE if most <= 4 else y
    while y < SIDE * 1.25 and len(sheet.digits) < most:
        x = rng.uniform(-0.3, 1.5) * height if most > 4 else rng.uniform(0, 0.7) * SIDE
        line_height = height * float(np.exp(rng.normal(0, 0.08)))
        while x < SIDE + 10 and len(sheet.digits) < most:
            width = sheet.write(x, y, line_height * float(np.exp(rng.normal(0, 0.09))))
            x += (width or 0) + rng.uniform(*gaps) * line_height
            x += height * rng.uniform(0.8, 3) if rng.random() < 0.06 else 0
        y += pitch * float(np.exp(rng.normal(0, 0.05))) * (2 if rng.random() < 0.1 else 1)


def _packed(sheet: Sheet) -> None:
    """A sheet full of digits, close to each other: the most to learn from for each pixel."""
    rng = sheet.rng
    sheet.height = height = log_uniform(rng, 13, 34)
    pitch, gap = height * rng.uniform(1.08, 1.5), rng.uniform(0.0, 0.4)
    y = rng.uniform(0.1, 0.6) * pitch - 0.5 * SIDE * abs(math.tan(math.radians(sheet.tilt)))
    while y < SIDE * 1.25:
        x = rng.uniform(-0.2, 0.4) * height
        while x < SIDE:
            width = sheet.write(x, y, height * float(np.exp(rng.normal(0, 0.1))))
            x += (width or 0) + (gap + rng.uniform(-0.06, 0.15)) * height
        y += pitch


def _cells(sheet: Sheet, size: tuple[float, float], filled: float) -> list[tuple[float, float]]:
    """Digits in the middles of cells of a width and height in pixels; returns the cells' left upper corners."""
    rng, (width, height) = sheet.rng, size
    corner = rng.uniform(-1, 0, 2) * size
    corners = []
    for row in range(math.ceil(SIDE / height) + 2):
        for column in range(math.ceil(SIDE / width) + 1):
            left, top = corner[0] + column * width, corner[1] + row * height
            corners.append((left, top))
            if rng.random() < filled:
                x = left + width / 2 - 0.3 * sheet.height + rng.normal(0, 0.08) * width
                sheet.write(x, top + height / 2 + rng.normal(0, 0.06) * height, sheet.height * rng.uniform(0.85, 1.15))
    return corners


def _tilted(sheet: Sheet, lines: np.ndarray) -> np.ndarray:
    """Lines float32 (192, 192) drawn level, tilted as the sheet's digits are: by shearing, as `write` does."""
    shear = math.tan(math.radians(sheet.tilt))
    return cv2.warpAffine(lines, np.array([(1.0, 0, 0), (shear, 1.0, -shear * SIDE / 2)]), (SIDE, SIDE))


def _table(sheet: Sheet) -> None:
    """A table's cells, mostly ruled."""
    rng = sheet.rng
    size = (sheet.height * rng.uniform(0.95, 3.4), sheet.height * rng.uniform(1.2, 3.0))
    corners = _cells(sheet, size, rng.uniform(0.4, 1))
    if rng.random() < 0.88:
        lines = np.zeros_like(sheet.ink)
        pen = max(1, round(log_uniform(rng, 0.6, max(0.8, 0.1 * sheet.height))))
        for left, top in corners:
            stroke(lines, [(left, -60), (left, SIDE + 60)], pen)
            stroke(lines, [(-60, top), (SIDE + 60, top)], pen)
        _print_lines(sheet, lines)


def _print_lines(sheet: Sheet, lines: np.ndarray) -> None:
    """Lines float32 (192, 192) drawn level, printed as the sheet is tilted: half of them as black as print can be."""
    strength = np.float32(sheet.rng.uniform(0.3, 1) if sheet.rng.random() < 0.5 else 1)
    np.maximum(sheet.printed, _tilted(sheet, lines) * strength, out=sheet.printed)


def _boxes(sheet: Sheet) -> None:
    """A form: printed boxes apart from each other or joined in rows, with printed labels above some."""
    rng, height = sheet.rng, sheet.height
    cell = (height * rng.uniform(1.2, 2.4), height * rng.uniform(1.5, 3.2))
    corners = _cells(sheet, cell, rng.uniform(0.4, 1))
    lines = np.zeros_like(sheet.ink)
    pen = max(1, round(log_uniform(rng, 0.7, max(0.9, 0.09 * height))))
    inner = rng.uniform(0.02, 0.12, 2) * cell if rng.random() < 0.7 else np.zeros(2)
    low = np.array((cell[0] / 2 - 0.62 * height, cell[1] / 2 - 0.72 * height))
    inner = np.maximum(np.minimum(inner, low), 0)
    for corner in corners:
        begin, end = np.array(corner) + inner, np.array(corner) + cell - inner
        stroke(lines, [begin, (end[0], begin[1]), end, (begin[0], end[1])], pen, closed=True)
    _print_lines(sheet, lines)
    if rng.random() < 0.5:
        _print_labels(sheet, corners)


def _print_labels(sheet: Sheet, corners: list[tuple[float, float]]) -> None:
    """Small printed words at some cells' upper corners."""
    rng, extra = sheet.rng, np.zeros_like(sheet.ink)
    size = max(5.0, sheet.height * rng.uniform(0.2, 0.5))
    for left, top in corners:
        if rng.random() < 0.3:
            patch = page_letters.print_text(page_letters.word(rng), size, size * rng.uniform(0.06, 0.16), rng)
            lay(extra, patch, round(left), round(top - 0.4 * size))
    sheet.printed = np.maximum(sheet.printed, extra * ~sheet.covered(1))


def _scattered(sheet: Sheet) -> None:
    """Digits anywhere, of mixed sizes."""
    rng = sheet.rng
    for _ in range(int(rng.integers(1, 14))):
        height = sheet.height * float(np.exp(rng.normal(0, 0.35)))
        x, y = rng.uniform(0, SIDE - 0.6 * height), rng.uniform(0.4 * height, SIDE - 0.4 * height)
        near = (max(abs(x + 0.3 * height - (a + c) / 2), abs(y - (b + d) / 2)) for a, b, c, d, _ in sheet.digits)
        if min(near, default=SIDE) > 0.9 * height:
            sheet.write(x, y, height)


def distract(sheet: Sheet, most: int) -> None:
    """Letters or sketches, of the pen and size of the digits."""
    rng, extra = sheet.rng, np.zeros_like(sheet.ink)
    pen = max(1.0, sheet.pen * sheet.height * rng.uniform(0.6, 1.4))
    for _ in range(int(rng.integers(1, 3))):
        if rng.random() < 0.6:
            page_letters.write_letters(extra, int(rng.integers(1, most)), sheet.height, pen, rng)
        else:
            for _ in range(int(rng.integers(1, most))):
                page_marks.sketch(extra, sheet.height * rng.uniform(0.5, 1.5), pen, rng)
    sheet.add(sheet.ink, extra)


def write_giant(sheet: Sheet) -> None:
    """A digit far too large for this scale: no digit here."""
    rng = sheet.rng
    row = int(rng.integers(len(sheet.shapes.labels)))
    height = log_uniform(rng, 85, 420)
    patch, _ = drawn_digit(sheet.shapes, row, height, log_uniform(rng, 0.05, 0.25), rng.normal(0, 8), rng)
    low, high = (int(rng.uniform(-0.8 * patch.shape[0], 0.8 * SIDE)) for _ in range(2))
    lay(sheet.ink, patch, low, high)


def print_on(sheet: Sheet, blank: bool) -> None:
    """Rulings, frames, printed text, specks."""
    rng, kind = sheet.rng, sheet.rng.random()
    if kind < 0.18:
        spacing, lines = sheet.height * rng.uniform(0.35, 2.2), np.zeros_like(sheet.ink)
        page_marks.ruling(lines, spacing, sheet.tilt + rng.normal(0, 1.5), kind < 0.1, rng)
        sheet.printed = np.maximum(sheet.printed, lines * np.float32(rng.uniform(0.15, 0.9)))
    elif kind < 0.26:
        extra = np.zeros_like(sheet.ink)
        for _ in range(int(rng.integers(1, 4))):
            start = rng.uniform(-20, SIDE, 2)
            end = start + rng.uniform(1, 6, 2) * sheet.height
            corners = [start, (end[0], start[1]), end, (start[0], end[1])]
            stroke(extra, np.array(corners), log_uniform(rng, 0.8, 4), closed=True)
        sheet.add(sheet.printed, extra * np.float32(rng.uniform(0.3, 1)))
    if rng.random() < (0.35 if blank else 0.08):
        extra = np.zeros_like(sheet.ink)
        page_letters.print_lines(extra, rng)
        sheet.printed = np.maximum(sheet.printed, extra * np.float32(rng.uniform(0.3, 1)) * ~sheet.covered(1))
    if rng.random() < 0.2:
        for x, y in rng.integers(0, SIDE, (int(rng.integers(1, 30)), 2)).tolist():
            cv2.circle(sheet.printed, (x, y), int(rng.integers(0, 3)), float(rng.uniform(0.2, 1)), -1, cv2.LINE_AA)


LAYOUTS = ((_rows, 0.34), (_packed, 0.28), (_table, 0.15), (_boxes, 0.13), (_scattered, 0.1))
"""Layouts and how often each is taken."""
