#!/usr/bin/env python
"""Draws the pictures that need no trained network: photos on their way to 28x28, distortion, and a filled sheet.

    python docs/pictures/draw.py [FOLDER]

Everything is simulated from MNIST's test digits with fixed seeds, so the pictures are the same at every time.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from digits.augmentation.distort import distort
from digits.commands.shards.sheet import photo_of
from digits.data.mnist import find_mnist
from digits.evaluation.simulated_photos import PhotoConditions, simulate_photo
from digits.images import decode_image, resize_photo
from digits.preprocessing.prepare import prepare_photo
from digits.sheet.boxes import cut_boxes
from digits.sheet.find import SHEET_SIDE
from digits.sheet.layout import COLUMNS, ROWS

CONDITIONS = {
    "felt pen": {},
    "ballpoint": {"pen": "ballpoint", "stroke_width": 0.025, "ink_colour": (0.1, 0.12, 0.4)},
    "pencil": {"pen": "pencil", "stroke_width": 0.04, "contrast": 0.4},
    "marker": {"pen": "marker", "stroke_width": 0.2},
    "shadow": {"shadow": 0.5},
    "lined paper": {"ruling": "lined", "stroke_width": 0.05, "ink_colour": (0.1, 0.12, 0.4)},
    "small": {"size": 0.25, "position": (0.5, 0.5)},
    "table": {"surroundings": "table", "rotation": 15},
    "blackboard": {"polarity": "light_on_dark", "stroke_width": 0.06},
}
"""What differs from a plain good photo, for each column of the picture."""
ORIGINALS, EPOCHS = 5, 7
"""Rows and columns of the picture of distortion."""
SEED = 4


def test_digits(count: int) -> tuple[np.ndarray, np.ndarray]:
    """The first `count` of MNIST's test digits: uint8 (N, 28, 28) and int64 (N,)."""
    (file, *_) = sorted(find_mnist().glob("test-*.parquet"))
    table = pq.read_table(file).slice(0, count).combine_chunks()
    return table["image"].chunk(0).to_numpy_ndarray(), table["label"].to_numpy()


def new_axes(num_rows: int, num_columns: int) -> list[list[Axes]]:
    """A grid of empty axes, one inch each, without ticks."""
    figure = Figure(figsize=(num_columns, num_rows + 0.25), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(num_rows, num_columns)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    return grid


def photos_on_their_way(folder: Path) -> None:
    """photo_to_28x28.png: a simulated photo a column; below it what shrinking and what preparation make of it."""
    digits, _ = test_digits(len(CONDITIONS))
    grid = new_axes(3, len(CONDITIONS))
    for column, (digit, (name, differences)) in enumerate(zip(digits, CONDITIONS.items(), strict=True)):
        photo = simulate_photo(digit, np.random.default_rng(SEED), replace(PhotoConditions(), **differences))
        for row, image in enumerate((photo, resize_photo(photo), prepare_photo(photo))):
            grid[row][column].imshow(image, cmap="gray", vmin=0, vmax=255)
        grid[0][column].set_title(name, fontsize=8)
    for row, name in enumerate(("photo", "resized", "prepared")):
        grid[row][0].set_ylabel(name, fontsize=8)
    grid[0][0].figure.savefig(folder / "photo_to_28x28.png", dpi=110)


def distorted_digits(folder: Path) -> None:
    """distorted.png: digits of MNIST in the first column, beside them what training may make of them."""
    digits, labels = test_digits(ORIGINALS)
    grid = new_axes(ORIGINALS, EPOCHS + 1)
    rng = np.random.default_rng(SEED)
    columns = [digits, *(distort(digits, labels, rng) for _ in range(EPOCHS))]
    for column, images in enumerate(columns):
        for row, image in enumerate(images):
            grid[row][column].imshow(image, cmap="gray", vmin=0, vmax=255)
        grid[0][column].set_title(f"epoch {column}" if column else "MNIST", fontsize=8)
    grid[0][0].figure.savefig(folder / "distorted.png", dpi=110)


def filled_sheet(folder: Path) -> None:
    """sheet.png: a simulated photo of the sheet of fifty boxes, and the boxes that are cut out of it."""
    photo = decode_image(photo_of("a4"), longer_side=SHEET_SIDE)
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subfigures(1, 2, width_ratios=(3.6, 5.4))
    axes = left.subplots()
    axes.imshow(photo)
    axes.axis("off")
    boxes = cut_boxes(photo)
    for box, axes in zip(boxes, right.subplots(ROWS, COLUMNS).flat, strict=True):
        axes.imshow(box.picture)
        axes.axis("off")
    figure.savefig(folder / "sheet.png", dpi=80)


def main(folder: Path) -> None:
    """Draw them into `folder`."""
    photos_on_their_way(folder)
    distorted_digits(folder)
    filled_sheet(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
