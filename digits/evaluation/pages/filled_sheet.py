"""The sheet of fifty boxes, filled with MNIST's digits and photographed: from the side, turned, bent, in shadow.

For tests, documents and people without a pen at hand. It draws with the pens of `digits.evaluation.simulated_ink`.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from digits.evaluation.simulated_ink import Writing, draw_ink, trace_stroke
from digits.sheet.layout import BOX, COLUMNS, HEIGHT, PAPERS, ROWS, WIDTH, box_corner
from digits.sheet.printed import INCH_MM, rendered

DPI = 200
PEN_MM = {"ballpoint": (0.5, 0.8), "felt": (0.8, 1.4), "pencil": (0.5, 0.8), "marker": (1.5, 2.5)}
"""Width of the line that each pen leaves."""
DIGIT_MM = (11.0, 16.0)
"""Height of the digits that people write into the boxes."""
PAPER, TABLE = (250, 247, 240), (118, 92, 70)
"""Colours of the paper and of what lies beyond its edge, RGB."""


@dataclass(frozen=True, kw_only=True)
class SheetPhoto:
    """How a sheet was written on and photographed."""

    paper: str = "a4"
    pen: str = "felt"
    ink_colour: tuple[float, float, float] = (0.1, 0.12, 0.4)
    """Red, green and blue that the ink reflects, each 0..1."""
    contrast: float = 0.85
    """Opacity of the ink."""
    empty: frozenset[tuple[int, int]] = frozenset()
    """Row and column of the boxes that nothing is written in."""
    turn: float = 0.0
    """Of the sheet in the photo, clockwise, in degrees."""
    perspective: float = 0.06
    """How far a slanted camera moves the corners of the paper, as a fraction of its shorter side."""
    bend_mm: float = 0.0
    """How far a wave of the paper moves what is printed in its middle."""
    shadow: float = 0.35
    """Fraction of the light lost behind a shadow's edge that crosses the sheet."""
    blur: float = 0.8
    """Standard deviation of the lens blur, in pixels of the photo."""
    noise: float = 4.0
    """Standard deviation of the sensor noise, in grey levels."""
    side: int = 2400
    """Width and height of the photo, in pixels."""


def filled_sheet(images: np.ndarray, rng: np.random.Generator, conditions: SheetPhoto) -> np.ndarray:
    """The written sheet, lying flat: uint8 (H, W, 3) at DPI pixels an inch.

    `images` are the fifty digits, uint8 (50, 28, 28), row by row as the boxes stand.
    """
    scale = DPI / INCH_MM
    sheet = rendered(conditions.paper, DPI).astype(np.float32) / 255
    width, height = PAPERS[conditions.paper]
    left, top = (width - WIDTH) / 2, (height - HEIGHT) / 2
    side = round(BOX * scale)
    for number, image in enumerate(images):
        row, column = divmod(number, COLUMNS)
        digit_mm, pen_mm = rng.uniform(*DIGIT_MM), rng.uniform(*PEN_MM[conditions.pen])
        place = tuple(np.clip(rng.normal(0, 0.35, 2), -0.8, 0.8).tolist())
        writing = Writing(pen=conditions.pen, width=pen_mm / digit_mm, size=digit_mm / BOX, position=place)
        ink = conditions.contrast * draw_ink(trace_stroke(image), writing, (side, side), np.eye(3), rng)
        if (row, column) in conditions.empty:
            continue
        x, y = (
            round((from_frame + edge) * scale)
            for from_frame, edge in zip(box_corner(row, column), (left, top), strict=True)
        )
        inked = sheet[y : y + side, x : x + side]
        inked *= 1 - ink[..., None] * (1 - np.array(conditions.ink_colour, np.float32))
    return cv2.convertScaleAbs(sheet, alpha=255)


def photographed(sheet: np.ndarray, rng: np.random.Generator, conditions: SheetPhoto) -> np.ndarray:
    """A flat sheet, uint8 (H, W, 3), as a phone sees it: uint8 (side, side, 3)."""
    height, width = sheet.shape[:2]
    side = conditions.side
    # The whole paper stays in the photo, however it is turned.
    scale = 0.94 * side / np.hypot(width, height) / (1 + conditions.perspective)
    angle = np.radians(conditions.turn)
    turned = scale * np.array([(np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle))])
    paper = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    corners = paper - np.array((width, height)) / 2
    moves = conditions.perspective * min(height, width) * rng.uniform(-1, 1, (4, 2)) * scale
    seen = corners @ turned.T + moves + side / 2
    to_photo = cv2.getPerspectiveTransform(paper, seen.astype(np.float32))
    sheet = bent(sheet, conditions.bend_mm * DPI / INCH_MM)
    colours = np.array(PAPER, np.float32) / 255
    photo = cv2.warpPerspective(sheet.astype(np.float32), to_photo, (side, side), flags=cv2.INTER_AREA)
    there = cv2.warpPerspective(np.ones((height, width), np.float32), to_photo, (side, side))[..., None]
    photo = photo * colours + (1 - there) * np.array(TABLE, np.float32)
    photo *= light(side, rng, conditions.shadow)[..., None]
    photo = cv2.GaussianBlur(photo, (0, 0), conditions.blur) if conditions.blur else photo
    photo += np.float32(conditions.noise) * rng.standard_normal((side, side, 1), dtype=np.float32)
    return np.clip(photo, 0, 255).astype(np.uint8)


def bent(sheet: np.ndarray, pixels: float) -> np.ndarray:
    """A sheet whose paper waves, so that its middle is moved and its edges stay."""
    if not pixels:
        return sheet
    height, width = sheet.shape[:2]
    across, down = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    wave = np.float32(pixels) * np.sin(np.pi * across / width) * np.sin(np.pi * down / height)
    return cv2.remap(sheet, across + wave, down - wave, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def light(side: int, rng: np.random.Generator, shadow: float) -> np.ndarray:
    """float32 (side, side): the fraction of the light that reaches each point; a lamp at one side, and a shadow."""
    across = np.linspace(-0.5, 0.5, side, dtype=np.float32)[None]
    down = np.linspace(-0.5, 0.5, side, dtype=np.float32)[:, None]
    angle, edge = rng.uniform(0, 2 * np.pi, 2).astype(np.float32)
    fallen = 0.88 - 0.2 * (np.cos(angle) * across + np.sin(angle) * down)
    depth = np.cos(edge) * across + np.sin(edge) * down - np.float32(rng.uniform(-0.1, 0.1))
    return fallen * (1 - np.float32(shadow) * np.clip(0.5 + depth / 0.02, 0, 1))


def fifty(images: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Digits for the boxes, row by row, uint8 (50, 28, 28), drawn from uint8 (N, 28, 28) with labels int (N,)."""
    columns = [rng.choice(np.flatnonzero(labels == digit), ROWS, replace=False) for digit in range(COLUMNS)]
    return images[np.stack(columns, axis=1).ravel()]


def simulated_sheet(
    images: np.ndarray, labels: np.ndarray, rng: np.random.Generator, conditions: SheetPhoto
) -> np.ndarray:
    """A photo, uint8 (side, side, 3), of a sheet written with digits uint8 (N, 28, 28) with labels int (N,)."""
    return photographed(filled_sheet(fifty(images, labels, rng), rng, conditions), rng, conditions)
