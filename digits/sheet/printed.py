"""The sheet as people print it: a PDF of lines and letters, the same bytes at every time; and as pixels."""

import io
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path as Outline
from PIL import Image

from digits.errors import require
from digits.sheet.layout import (
    BOX,
    COLUMNS,
    CORNERS,
    FIRST,
    HEIGHT,
    MARK,
    PAPERS,
    ROWS,
    WIDTH,
    box_corner,
    mark_cells,
    mark_outline,
    outline,
)

INSTRUCTION = "Write into each box the digit above its column, then photograph the whole sheet, all four marks in view."
LINE_GREY, TEXT_GREY = "0.45", "0.3"
LINE_MM = 0.3
INCH_MM, POINT_MM = 25.4, 25.4 / 72


def pdf(paper: str) -> bytes:
    """The sheet on a paper of PAPERS, as a PDF file."""
    return saved(paper, "pdf", metadata={"CreationDate": None, "Title": "Fifty digits"})


def rendered(paper: str, dpi: float) -> np.ndarray:
    """The sheet on a paper of PAPERS, uint8 (H, W, 3), at so many pixels an inch."""
    with Image.open(io.BytesIO(saved(paper, "png", dpi=dpi))) as picture:
        return np.array(picture.convert("RGB"))


def saved(paper: str, format: str, **options: Any) -> bytes:
    """The sheet as a file; a PDF is not packed, so that no other version of zlib makes another one of it."""
    buffer = io.BytesIO()
    style: Any = {"pdf.fonttype": 42, "pdf.compression": 0, "font.family": "DejaVu Sans"}  # the font it brings
    with matplotlib.rc_context(style):
        drawn(paper).savefig(buffer, format=format, **options)
    return buffer.getvalue()


def drawn(paper: str) -> Figure:
    """The sheet as a figure in millimetres."""
    require(paper in PAPERS, f"paper = {paper!r}", f"one of {', '.join(PAPERS)}", "use a4")
    width, height = PAPERS[paper]
    figure = Figure(figsize=(width / INCH_MM, height / INCH_MM))
    axes = figure.add_axes((0, 0, 1, 1))
    left, top = (width - WIDTH) / 2, (height - HEIGHT) / 2
    axes.set(xlim=(-left, width - left), ylim=(height - top, -top))
    axes.axis("off")
    for number in range(len(CORNERS)):
        axes.add_patch(PathPatch(mark_shape(number), facecolor="black", edgecolor="none"))
    for row in range(ROWS):
        for column in range(COLUMNS):
            axes.add_patch(
                Rectangle(
                    box_corner(row, column), BOX, BOX, fill=False, edgecolor=LINE_GREY, linewidth=LINE_MM / POINT_MM
                )
            )
    for column in range(COLUMNS):
        middle = box_corner(0, column)[0] + BOX / 2
        axes.text(middle, FIRST[1] - 2, str(column), ha="center", va="baseline", fontsize=11, color=TEXT_GREY)
    axes.text(WIDTH / 2, MARK / 2, INSTRUCTION, ha="center", va="center", fontsize=10, color=TEXT_GREY)
    return figure


def mark_shape(number: int) -> Outline:
    """The black cells of a mark as one shape, so that no light shows between them."""
    cells = mark_cells(number)
    corner, side = mark_outline(number)[0], MARK / len(cells)
    squares = []
    for row, column in np.argwhere(cells):
        corners = outline(corner[0] + column * side, corner[1] + row * side, side)
        squares.append(Outline(np.concatenate([corners, corners[:1]]), closed=True))
    return Outline.make_compound_path(*squares)
