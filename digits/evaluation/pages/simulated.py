"""Simulated pages: many digits of MNIST and in unseen styles, written on sheets and photographed.

For evaluation only: training's pages are made elsewhere, and neither paper, pens, styles nor textures are shared with
them. Each page is made under one named condition, so that a score tells which condition breaks which reader.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from digits.evaluation.pages.sheets import Box, PageConditions, Sheet, photographed, print_words
from digits.evaluation.simulated_ink import Stroke, trace_stroke
from digits.evaluation.unseen_styles import STYLES_OF, written

UNSEEN = 0.2
"""Fraction of the digits that are written in a style of UNSEEN_STYLES instead of MNIST's."""
MOST_TRIES = 20
"""How often a page is begun anew because no line fitted into its frame."""


PLAIN = PageConditions()
CONDITIONS: dict[str, PageConditions] = {
    "plain": PLAIN,
    "thin pen": replace(PLAIN, stroke_width=(0.025, 0.045), contrast=(0.4, 0.8)),
    "marker": replace(PLAIN, stroke_width=(0.14, 0.2), lines=(4, 4)),
    "lined paper": replace(PLAIN, paper="lined"),
    "squared paper": replace(PLAIN, paper="squared", stroke_width=(0.05, 0.09)),
    "table": replace(PLAIN, paper="table", lines=(5, 5, 5)),
    "printed boxes": replace(PLAIN, paper="boxes", lines=(6, 6), words=2),
    "hard shadow": replace(PLAIN, shadow=0.5),
    "show-through": replace(PLAIN, show_through=0.25),
    "mixed sizes and pens": replace(PLAIN, height_spread=0.3, pens=3, lines=(5, 4, 5)),
    "touching": replace(PLAIN, gap=(-0.08, 0.06)),
    "slanted": replace(PLAIN, slant=16.0, lines=(5, 5)),
    "small": replace(PLAIN, frame=(1500, 2000), height=0.02, lines=(10,) * 10, gap=(0.5, 1.2)),
    "webcam": replace(PLAIN, frame=(480, 640), noise=9.0, blur=1.3, jpeg_quality=45, contrast=(0.45, 0.8)),
    "light on dark": replace(PLAIN, light_on_dark=True),
    "beside words": replace(PLAIN, words=5, lines=(5, 6)),
    "turned": replace(PLAIN, turn=1, lines=(6, 6, 6)),
    "upside down": replace(PLAIN, turn=2, lines=(6, 6, 6)),
    "one digit": replace(PLAIN, frame=(240, 240), lines=(1,), height=0.55),
    "two in 28x28": replace(
        PLAIN, frame=(28, 28), lines=(2,), height=0.6, gap=(0.02, 0.15), noise=0.0, blur=0.4, light_on_dark=True
    ),
}
"""Conditions by name."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SimulatedPage:
    """A page and the truth about it."""

    picture: np.ndarray
    """uint8 (H, W, 3), RGB."""
    lines: tuple[str, ...]
    """Digits of each line, in reading order; none on a page without digits."""
    boxes: tuple[Box, ...]
    """One for each digit, in reading order, in the picture."""
    rotation: int = 0
    """Degrees clockwise by which the picture must be turned to be read."""

    @property
    def digits(self) -> str:
        """All digits in reading order."""
        return "".join(self.lines)


def simulated_page(
    digits: np.ndarray, labels: np.ndarray, rng: np.random.Generator, conditions: PageConditions
) -> SimulatedPage:
    """A page written with digits drawn from uint8 (N, 28, 28), light ink on black, and integer labels (N,).

    A line is left out as a whole where the frame would cut one of its digits. Equal generators give equal pixels.
    """
    for _ in range(MOST_TRIES):
        sheet = Sheet(conditions=conditions, rng=rng)
        texts = _write_lines(sheet, digits, labels)
        if texts:
            break
    if conditions.words:
        print_words(sheet, conditions.words)
    picture = photographed(sheet)
    boxes = tuple(box for line in sheet.boxes for box in line)
    height, width = conditions.frame
    for _ in range(conditions.turn):
        boxes = tuple((y, width - x - w, h, w) for x, y, w, h in boxes)
        height, width = width, height
    picture = np.ascontiguousarray(np.rot90(picture, conditions.turn))
    return SimulatedPage(picture=picture, lines=tuple(texts), boxes=boxes, rotation=90 * conditions.turn)


def _write_lines(sheet: Sheet, digits: np.ndarray, labels: np.ndarray) -> list[str]:
    """Write all lines; returns their texts. A table and boxes are ruled around the digits."""
    conditions, rng = sheet.conditions, sheet.rng
    rows, columns = conditions.frame
    height = conditions.height * min(conditions.frame)
    slope = math.tan(math.radians(rng.uniform(-conditions.slant, conditions.slant)))
    cells = conditions.paper in ("table", "boxes")
    pitch = height * (2.2 if cells else rng.uniform(1.5, 2.4))
    pitch = min(pitch, (rows - 0.4 * height) / (len(conditions.lines) + abs(slope) * 2))
    top = rng.uniform(0.3, 0.7) * (rows - pitch * len(conditions.lines)) + pitch / 2
    step = height * rng.uniform(1.5, 2.2)
    widest = max(conditions.lines) * (step if cells else height * (0.62 + conditions.gap[1]))
    left = max(0.3 * height, rng.uniform(0.2, 0.8) * (columns - widest))
    texts = []
    for number, count in enumerate(conditions.lines):
        x, y, text = left, top + number * pitch, ""
        boxes: list[Any] = []
        saved = sheet.ink.copy()
        for place in range(count):
            label, stroke = _digit(digits, labels, rng)
            tall = height * float(np.exp(rng.normal(0, conditions.height_spread)))
            wide = tall * min(stroke.box[2] / max(stroke.box[3], 1), 1.3)
            middle = left + (place + 0.5) * step if cells else x + wide / 2
            down = y + (middle - columns / 2) * slope + rng.normal(0, 0.03) * height
            box = sheet.write(stroke, (middle, down), tall)
            x += wide + rng.uniform(*conditions.gap) * height
            if box is None:
                text, boxes, sheet.ink = "", [], saved
                break
            text, boxes = text + str(label), [*boxes, box]
        if text:
            texts.append(text)
            sheet.boxes.append(boxes)
    if cells:
        _rule_cells(sheet, (left, top - pitch / 2), (step, pitch), slope)
    return texts


def _digit(digits: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> tuple[int, Stroke]:
    """One digit's label and stroke: MNIST's, or in a style that MNIST hardly shows."""
    row = int(rng.integers(len(labels)))
    label = int(labels[row])
    styles = STYLES_OF[label]
    if styles and rng.random() < UNSEEN:
        return label, written(styles[rng.integers(len(styles))], rng)
    return label, trace_stroke(digits[row])


def _rule_cells(sheet: Sheet, corner: tuple[float, float], cell: tuple[float, float], slope: float) -> None:
    """Print a table's lines, or boxes apart from each other, around the cells that the lines' digits stand in."""
    conditions, rng = sheet.conditions, sheet.rng
    height = conditions.height * min(conditions.frame)
    pen = max(1, round(height * rng.uniform(0.02, 0.06)))
    inset = 0.0 if conditions.paper == "table" else rng.uniform(0.03, 0.1)
    middle = conditions.frame[1] / 2
    for row, count in enumerate(conditions.lines):
        for column in range(count):
            x0, x1 = corner[0] + (column + inset) * cell[0], corner[0] + (column + 1 - inset) * cell[0]
            y0, y1 = corner[1] + (row + inset) * cell[1], corner[1] + (row + 1 - inset) * cell[1]
            points = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
            points[:, 1] += (points[:, 0] - middle) * slope
            cv2.polylines(sheet.printed, [np.rint(points * 16).astype(np.int32)], True, 1.0, pen, cv2.LINE_AA, 4)
    sheet.printed *= np.float32(rng.uniform(0.4, 0.9))
