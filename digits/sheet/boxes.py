"""Cuts the fifty boxes out of a photo of the sheet: upright, without their lines, each with the digit it should hold.

The marks say where a box is on a flat sheet. Paper is seldom quite flat, so each side of a box is then looked for near
its place: a line that is darker than the paper along most of its length, which no stroke of a pen is.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from digits.errors import SheetError
from digits.sheet.find import locate
from digits.sheet.layout import BOX, COLUMNS, HEIGHT, ROWS, WIDTH, box_corner

PIXELS_MM = 6
"""Pixels for a millimetre of the sheet, in the picture of it that boxes are cut from."""
BORDER_MM = 4
"""Paper around the frame in that picture."""
REACH_MM, INSIDE_MM = 2.5, 1.0
"""How far from its place a line is looked for, and how far inside of it a box is cut."""
STRETCH_MM = 1.0
"""How much wider or narrower than printed a box may be on bent paper."""
LEAST_LINE = 0.05
"""Darkness, as a fraction of the paper's light, from which a line is one; else it is taken to be at its place."""
WINDOW_MM = 6
"""Wider than any stroke: paper shows through it somewhere."""
LEAST_INK = 0.09
"""Darkness from which a pixel may be ink."""
LEAST_STROKE_MM = 2.5
"""Longer side of the smallest piece of ink for which a box is not empty: less is a speck."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Box:
    """One box of a sheet."""

    row: int
    """From 0, the top one."""
    column: int
    """From 0, the left one."""
    picture: np.ndarray
    """uint8 (H, W, 3), RGB: what is inside of its lines, upright; about 126 pixels a side."""
    empty: bool
    """Whether nothing is written in it."""

    @property
    def label(self) -> int:
        """The digit that it should hold."""
        return self.column

    @property
    def name(self) -> str:
        """What people call it."""
        return f"row {self.row + 1}, digit {self.label}"


def cut_boxes(photo: np.ndarray) -> list[Box]:
    """The fifty boxes of the sheet in a photo, uint8 (H, W, 3), row by row.

    SheetError where there is no sheet, where it cannot be cut up, or where nothing is written on it.
    """
    flat = flattened(photo, locate(photo))
    dark = darkness(cv2.cvtColor(flat, cv2.COLOR_RGB2GRAY))
    boxes = []
    for row in range(ROWS):
        for column in range(COLUMNS):
            left, top, right, bottom = inside(dark, row, column)
            picture = np.ascontiguousarray(flat[top:bottom, left:right])
            empty = is_empty(dark[top:bottom, left:right])
            boxes.append(Box(row=row, column=column, picture=picture, empty=empty))
    if all(box.empty for box in boxes):
        raise SheetError(
            "nothing is written in the boxes of the sheet",
            "at least one digit",
            "write the digits with a pen that shows, and photograph the sheet again",
            reason="unwritten",
        )
    return boxes


def flattened(photo: np.ndarray, to_photo: np.ndarray) -> np.ndarray:
    """The sheet seen straight from above, uint8 (H, W, 3), BORDER_MM around its frame."""
    to_sheet = np.array([(1 / PIXELS_MM, 0, -BORDER_MM), (0, 1 / PIXELS_MM, -BORDER_MM), (0, 0, 1)])
    size = (round((WIDTH + 2 * BORDER_MM) * PIXELS_MM), round((HEIGHT + 2 * BORDER_MM) * PIXELS_MM))
    method = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpPerspective(photo, to_photo @ to_sheet, size, flags=method, borderMode=cv2.BORDER_REPLICATE)


def darkness(grey: np.ndarray) -> np.ndarray:
    """How much darker than the paper around it each pixel is, float32 (H, W), as a fraction of the paper's light.

    What is broader than a stroke, such as a shadow, is not dark: its edges stay edges of the paper (a black top hat).
    """
    side = WINDOW_MM * PIXELS_MM + 1
    smooth = cv2.GaussianBlur(grey, (0, 0), 1.0)
    paper = cv2.morphologyEx(smooth, cv2.MORPH_CLOSE, np.ones((side, side), np.uint8))
    return cv2.subtract(paper, smooth).astype(np.float32) / np.maximum(paper, 32).astype(np.float32)


def inside(dark: np.ndarray, row: int, column: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of what lies inside the lines of a box, in pixels of the flattened sheet."""
    left, top = ((place + BORDER_MM) * PIXELS_MM for place in box_corner(row, column))
    side, inset = BOX * PIXELS_MM, round(INSIDE_MM * PIXELS_MM)
    x0, x1 = lines_near(dark.T, left, top, side)
    y0, y1 = lines_near(dark, top, left, side)
    return x0 + inset, y0 + inset, x1 - inset, y1 - inset


def lines_near(dark: np.ndarray, place: float, start: float, length: float) -> tuple[int, int]:
    """The rows of a box's upper and lower line, near row `place` and `length` below it, in columns from `start` on.

    They are where they should be if no lines are seen. Both are looked for at once, since the line of the next box is
    as near as one's own on paper that is bent.
    """
    reach, stretch = round(REACH_MM * PIXELS_MM), round(STRETCH_MM * PIXELS_MM)
    along = slice(round(start + 0.1 * length), round(start + 0.9 * length))
    places = round(place), round(place + length)
    upper, lower = (strength(dark[middle - reach : middle + reach + 1, along]) for middle in places)
    together = upper[:, None] + lower[None]
    shifts = np.arange(-reach, reach + 1)
    together[np.abs(shifts[:, None] - shifts) > stretch] = 0
    if together.max() < 2 * LEAST_LINE:
        return places
    one, other = np.unravel_index(together.argmax(), together.shape)
    return places[0] + int(shifts[one]), places[1] + int(shifts[other])


def strength(strip: np.ndarray) -> np.ndarray:
    """How much of a horizontal line each row of a strip, float32 (H, W), is: its darkness along most of its length."""
    # A bent line leaves its row by a pixel or two.
    around = cv2.blur(cv2.dilate(np.ascontiguousarray(strip), np.ones((3, 1))), (1, 3))
    return np.percentile(around, 20, axis=1)


def is_empty(dark: np.ndarray) -> bool:
    """Whether the inside of a box, by its darkness, float32 (H, W), shows no piece of ink longer than a speck."""
    edge = round(PIXELS_MM * 0.5)  # where a line that is thicker than usual might show
    inner = dark[edge:-edge, edge:-edge]
    noise = 1.4826 * float(np.median(np.abs(inner - np.median(inner))))
    ink = (inner > float(np.median(inner)) + max(LEAST_INK, 4 * noise)).astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(ink, connectivity=8)
    sides = stats[1:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]]
    return not len(sides) or int(sides.max()) < LEAST_STROKE_MM * PIXELS_MM
