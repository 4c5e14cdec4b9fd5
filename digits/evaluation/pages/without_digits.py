"""Simulated pages of the examination that show no digit: blank, words, letters, shapes, textures."""

import math
from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
from PIL import Image, ImageDraw

from digits.evaluation.pages.sheets import WORDS, Sheet, photographed, printed_text
from digits.evaluation.pages.simulated import PLAIN

WITHOUT_DIGITS = ("blank", "words", "letters", "shapes", "texture")
"""Kinds of pages that show no digit."""


def page_without_digits(kind: str, rng: np.random.Generator) -> np.ndarray:
    """uint8 (H, W, 3): a photographed page of one of WITHOUT_DIGITS, in which nothing is to be read."""
    height, width = (int(side) for side in rng.integers(120, 500, 2))
    dark = bool(rng.random() < 0.2)
    sheet = Sheet(conditions=replace(PLAIN, frame=(height, width), light_on_dark=dark, lines=()), rng=rng)
    _NOTHING[kind](sheet)
    return photographed(sheet)


def _nothing_blank(sheet: Sheet) -> None:
    """Paper alone."""


def _nothing_words(sheet: Sheet) -> None:
    for _ in range(int(sheet.rng.integers(1, 6))):
        patch = printed_text(WORDS[sheet.rng.integers(len(WORDS))], min(sheet.ink.shape) * sheet.rng.uniform(0.08, 0.3))
        rows, columns = sheet.ink.shape
        patch = patch[:rows, :columns]
        top, left = int(sheet.rng.uniform(0, rows - len(patch))), int(sheet.rng.uniform(0, columns - patch.shape[1]))
        target = sheet.printed[top : top + len(patch), left : left + patch.shape[1]]
        np.maximum(target, patch, out=target)


_LETTER_STROKES = {
    "A": (((0, 1), (0.5, 0), (1, 1)), ((0.2, 0.6), (0.8, 0.6))),
    "E": (((0.9, 0), (0, 0), (0, 1), (0.9, 1)), ((0, 0.5), (0.7, 0.5))),
    "F": (((0.9, 0), (0, 0), (0, 1)), ((0, 0.45), (0.7, 0.45))),
    "H": (((0, 0), (0, 1)), ((0.8, 0), (0.8, 1)), ((0, 0.5), (0.8, 0.5))),
    "K": (((0, 0), (0, 1)), ((0.8, 0), (0, 0.5), (0.85, 1))),
    "M": (((0, 1), (0.1, 0), (0.5, 0.7), (0.9, 0), (1, 1)),),
    "N": (((0, 1), (0, 0), (0.8, 1), (0.8, 0)),),
    "R": (((0, 1), (0, 0), (0.7, 0.1), (0.7, 0.4), (0, 0.5), (0.8, 1)),),
    "T": (((0, 0), (1, 0)), ((0.5, 0), (0.5, 1))),
    "W": (((0, 0), (0.25, 1), (0.5, 0.3), (0.75, 1), (1, 0)),),
    "X": (((0, 0), (0.9, 1)), ((0.9, 0), (0, 1))),
    "Y": (((0, 0), (0.45, 0.5), (0.9, 0)), ((0.45, 0.5), (0.4, 1))),
}


def _nothing_letters(sheet: Sheet) -> None:
    """One to six capital letters by hand."""
    rng, (rows, columns) = sheet.rng, sheet.ink.shape
    count = int(rng.integers(1, 7))
    size = min(0.7 * rows, columns / (1.3 * count)) * rng.uniform(0.5, 0.9)
    left, top = rng.uniform(0.1, 0.3) * size, rng.uniform(0, 1) * (rows - size)
    pen = max(1, round(size * rng.uniform(0.04, 0.15)))
    for place in range(count):
        letter = list(_LETTER_STROKES)[rng.integers(len(_LETTER_STROKES))]
        for path in _LETTER_STROKES[letter]:
            points = (np.array(path) + rng.normal(0, 0.03, (len(path), 2))) * (0.75 * size, size)
            points += (left + place * 1.25 * size, top)
            cv2.polylines(sheet.ink, [np.rint(points * 16).astype(np.int32)], False, 0.9, pen, cv2.LINE_AA, 4)


def _nothing_shapes(sheet: Sheet) -> None:
    """Rectangles, triangles, filled discs, arrows."""
    rng, (rows, columns) = sheet.rng, sheet.ink.shape
    picture = Image.new("L", (columns, rows))
    draw = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(1, 4))):
        x0, x1 = np.sort(rng.uniform(0.05, 0.95, 2) * columns)
        y0, y1 = np.sort(rng.uniform(0.05, 0.95, 2) * rows)
        pen = max(1, int(min(rows, columns) * rng.uniform(0.01, 0.05)))
        kind = rng.integers(4)
        if kind == 0:
            draw.rectangle((x0, y0, x1, y1), outline=240, width=pen)
        elif kind == 1:
            draw.line([(x0, y1), ((x0 + x1) / 2, y0), (x1, y1), (x0, y1)], fill=240, width=pen)
        elif kind == 2:
            draw.ellipse((x0, y0, x1, y1), fill=240)
        else:
            draw.line([(x0, y0), (x1, y1)], fill=240, width=pen)
            draw.line([(x1, y0 + 0.6 * (y1 - y0)), (x1, y1), (x0 + 0.6 * (x1 - x0), y1)], fill=240, width=pen)
    sheet.ink = np.asarray(picture, np.float32) / 255


def _nothing_texture(sheet: Sheet) -> None:
    """Wood, cloth or leaves: waves that were bent by others."""
    rng, (rows, columns) = sheet.rng, sheet.ink.shape
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32) / min(rows, columns)
    value = np.zeros_like(sheet.ink)
    for _ in range(int(rng.integers(2, 7))):
        direction = rng.uniform(0, 2 * math.pi)
        wave = math.cos(direction) * x + math.sin(direction) * y + 0.2 * value
        value = value + np.sin(2 * math.pi * (rng.uniform(1, 25) * wave + rng.uniform())).astype(np.float32)
    sheet.ink = np.clip(0.5 + rng.uniform(0.1, 0.5) * value, 0, 1).astype(np.float32)


_NOTHING: dict[str, Callable[[Sheet], None]] = {
    "blank": _nothing_blank,
    "words": _nothing_words,
    "letters": _nothing_letters,
    "shapes": _nothing_shapes,
    "texture": _nothing_texture,
}
