"""Simulated pages for training: squares cut out of pages with digits in rows, tables, boxes, columns or anywhere.

Each square is a grey picture with the boxes of its digits. Among them are letters, words, sketches and textures that
are no digits, digits too large or too small to be read at this scale, light on dark, sheets that lie on their side.
"""

from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from digits.augmentation.page_digits import DigitShapes
from digits.augmentation.page_layouts import LAYOUTS, SIDE, SMALLEST, DigitBox, Sheet, distract, print_on, write_giant
from digits.augmentation.page_marks import log_uniform
from digits.augmentation.page_paper import photographed


@dataclass(kw_only=True)
class Square:
    """One simulated square."""

    picture: np.ndarray
    """uint8 (192, 192), grey."""
    digits: list[DigitBox] = field(default_factory=list)
    ignored: np.ndarray
    """bool (192, 192): where digits are cut or unreadable, so that neither answer is wrong."""
    turn: int = 0
    """Quarter turns, counter-clockwise, by which the page lies turned in the picture."""
    frame: tuple[int, int, int, int] = (0, 0, SIDE, SIDE)
    """Left, top, right and bottom of the picture proper: beyond it is nothing."""


def simulated_square(shapes: DigitShapes, rng: np.random.Generator) -> Square:
    """One square of a page, as it comes: four in five show digits. Equal generators give equal pixels."""
    height = log_uniform(rng, SMALLEST, 64) if rng.random() < 0.45 else log_uniform(rng, 15, 44)
    tilt = float(np.clip(rng.normal(0, 5), -20, 20)) if rng.random() < 0.85 else float(rng.uniform(-22, 22))
    sheet = Sheet(shapes=shapes, rng=rng, height=height, tilt=tilt)
    kind = rng.choice(3, p=(0.79, 0.18, 0.03))
    if kind == 0:
        layout, _ = LAYOUTS[rng.choice(len(LAYOUTS), p=[weight for _, weight in LAYOUTS])]
        layout(sheet)
    if kind == 2 or (kind == 1 and rng.random() < 0.2):
        write_giant(sheet)
    if kind == 1 or rng.random() < 0.27:
        distract(sheet, 9 if kind == 1 else 5)
    print_on(sheet, kind == 1)
    fine = min(2.2, 0.035 * height + 0.4)
    picture = photographed(sheet.ink, sheet.printed, fine, sheet.covered(), rng)
    square = Square(picture=picture, digits=sheet.digits, ignored=sheet.ignored)
    return _framed(_turned(_seen(square, rng), rng), height, rng)


def _seen(square: Square, rng: np.random.Generator) -> Square:
    """Light on dark, or coarse pixels, for some."""
    picture = square.picture
    if rng.random() < 0.3:
        picture = 255 - picture
        if rng.random() < 0.5:  # a screen or a board: black is black
            picture = np.clip((picture.astype(np.float32) - picture.min()) * rng.uniform(0.8, 1.6), 0, 255)
            picture = picture.astype(np.uint8)
    if rng.random() < 0.12:
        side = int(SIDE / rng.uniform(1.3, 2.6))
        small = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
        ways = (cv2.INTER_LINEAR, cv2.INTER_CUBIC)
        picture = cv2.resize(small, (SIDE, SIDE), interpolation=ways[rng.integers(2)])
    return replace(square, picture=picture)


def _turned(square: Square, rng: np.random.Generator) -> Square:
    """The page on its side or upside down, for one in seven."""
    turn = int(rng.choice(4, p=(0.86, 0.055, 0.03, 0.055)))
    boxes = []
    for left, top, right, bottom, label in square.digits:
        for _ in range(turn):  # counter-clockwise: the right edge becomes the top
            left, top, right, bottom = top, SIDE - right, bottom, SIDE - left
        boxes.append((left, top, right, bottom, label))
    picture, ignored = (np.ascontiguousarray(np.rot90(one, turn)) for one in (square.picture, square.ignored))
    return replace(square, picture=picture, digits=boxes, ignored=ignored, turn=turn)


def _framed(square: Square, height: float, rng: np.random.Generator) -> Square:
    """The picture's own edge inside the square, for one in four; at times close around one digit."""
    chance = rng.random()
    if chance > 0.25:
        return square
    if chance < 0.08 and square.digits:
        left, top, right, bottom, _ = square.digits[rng.integers(len(square.digits))]
        margin = max(right - left, bottom - top) * rng.uniform(0.0, 0.8, 4)
        frame = (left - margin[0], top - margin[1], right + margin[2], bottom + margin[3])
    else:
        cut = rng.uniform(0, 0.4, 4) * SIDE * (rng.random(4) < 0.5)
        frame = (cut[0], cut[1], SIDE - cut[2], SIDE - cut[3])
    left, top, right, bottom = (min(max(round(value), 0), SIDE) for value in frame)
    kept, ignored = [], square.ignored.copy()
    for box in square.digits:
        seen = max(0, min(box[2], right) - max(box[0], left)) * max(0, min(box[3], bottom) - max(box[1], top))
        share = seen / max(1, (box[2] - box[0]) * (box[3] - box[1]))
        if share > 0.9:
            kept.append(box)
        elif share > 0:
            x0, y0, x1, y1 = (round(max(0, value)) for value in box[:4])
            ignored[y0:y1, x0:x1] = True
    return replace(square, digits=kept, ignored=ignored, frame=(left, top, max(right, left + 1), max(bottom, top + 1)))
