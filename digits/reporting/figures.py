"""Pictures of results, which people look at before they read numbers; each function makes one PNG."""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from digits.config import NUM_CLASSES
from digits.errors import UnreadableImage
from digits.evaluation.metrics import LabelledPredictions
from digits.images import decode_image
from digits.training.state import EpochResult

COLOURS = ("#4269d0", "#ef8e2c", "#3ca951", "#a463f2", "#ff5c49", "#6cc5b0")
"""Distinct also for people who are colour-blind; networks take them in order."""
TILE_HEIGHT = 1.25
"""Height of a picture in a grid with the line above it, in widths of the picture."""
MOST_CONTACTS = 100
"""Pictures on a contact sheet, at most."""
CONTACT_SIDE = 160
"""Longer side of each, in pixels."""
INK, PALE, WRONG = "#222222", "#dddddd", "#c62828"


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, sizes in inches, that belongs to no window."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def png(figure: Figure) -> bytes:
    """A figure as a PNG with 144 dots per inch."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=144)
    return buffer.getvalue()


def quiet(axes: Axes) -> None:
    """Remove the lines of a plot that carry no information."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color=PALE, linewidth=0.6)
    axes.set_axisbelow(True)


def sample_digits(images: np.ndarray, labels: np.ndarray, *, inverted_copies: bool) -> bytes:
    """One of each digit, uint8 (N, 28, 28); with copies, rows 2i and 2i + 1 belong together and are shown so."""
    rows = 2 if inverted_copies else 1
    figure = new_figure(10, 0.5 + 1.1 * rows)
    copies = ", and its colour-inverted copy" if inverted_copies else ""
    figure.suptitle(f"One original of each digit{copies}", fontsize=12)
    axes = tiled_axes(figure, rows, NUM_CLASSES)
    for digit in range(NUM_CLASSES):
        originals = np.flatnonzero(labels[::rows] == digit)
        for row in range(rows if len(originals) else 0):
            show_tile(axes, images[rows * originals[0] + row], row, digit, "" if row else str(digit), fontsize=11)
    return png(figure)


def learning_curves(
    histories: Mapping[str, Sequence[Sequence[EpochResult]]], kept: Mapping[str, Sequence[int]]
) -> bytes:
    """Loss and accuracy by epoch; each network has one colour and one line for each seed.

    `kept` is the epoch, from 1, that each network and seed is finished with; it gets a ring.
    """
    figure = new_figure(11, 4.2)
    loss, accuracy = figure.subplots(1, 2)
    for colour, (name, runs) in zip(COLOURS, histories.items(), strict=False):
        for number, (history, best) in enumerate(zip(runs, kept[name], strict=True)):
            epochs = [epoch.epoch for epoch in history]
            label = name if number == 0 else None
            style = {"color": colour, "marker": "o", "markersize": 3.5, "linewidth": 1.6}
            loss.plot(epochs, [epoch.validation_loss for epoch in history], label=label, **style)
            loss.plot(epochs, [epoch.train_loss for epoch in history], color=colour, linestyle=":", linewidth=1.3)
            accuracy.plot(epochs, [100 * epoch.validation_accuracy for epoch in history], label=label, **style)
            accuracy.plot(
                epochs, [100 * epoch.train_accuracy for epoch in history], color=colour, linestyle=":", linewidth=1.3
            )
            ring = {"s": 90, "facecolors": "none", "edgecolors": colour, "linewidths": 1.6}
            loss.scatter(best, history[best - 1].validation_loss, **ring)
            accuracy.scatter(best, 100 * history[best - 1].validation_accuracy, **ring)
    loss.set_title("Loss", loc="left")
    loss.set_ylabel("mean cross-entropy")
    accuracy.set_title("Accuracy", loc="left")
    accuracy.set_ylabel("% of digits")
    for axes in (loss, accuracy):
        quiet(axes)
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.plot([], [], color=INK, label="validation")
        axes.plot([], [], color=INK, linestyle=":", label="training")
        axes.scatter([], [], s=60, facecolors="none", edgecolors=INK, label="epoch that is kept")
        axes.legend(frameon=False)
    return png(figure)


def confusion_matrix(predictions: LabelledPredictions, title: str) -> bytes:
    """How often each digit got each answer; mistakes are coloured by their number, right answers are pale."""
    counts = predictions.confusion()
    mistakes = counts - np.diag(np.diag(counts))
    figure = new_figure(7, 6.4)
    axes = figure.subplots()
    axes.imshow(mistakes, cmap="Reds", vmin=0, vmax=max(mistakes.max(), 1) * 1.4)
    for true in range(NUM_CLASSES):
        for answer in range(NUM_CLASSES):
            count = counts[true, answer]
            if count:
                hit = true == answer
                axes.text(
                    answer,
                    true,
                    f"{count:,}",
                    ha="center",
                    va="center",
                    fontsize=9 if hit else 10,
                    color="#888888" if hit else INK,
                )
    axes.set_xticks(range(NUM_CLASSES))
    axes.set_yticks(range(NUM_CLASSES))
    axes.set_xlabel("answer")
    axes.set_ylabel("true digit")
    axes.set_title(f"{title}: {predictions.accuracy:.2%} of {len(predictions.labels):,} right", loc="left")
    return png(figure)


def prediction_grid(images: np.ndarray, predictions: LabelledPredictions, title: str, num_columns: int = 12) -> bytes:
    """Digits with their answers: the most confident mistakes first, in red with the true digit, then right answers.

    images uint8 (N, 28, 28) or (N, 28, 28, 3) in the order of the predictions; at most 60 are shown.
    """
    wrong = predictions.mistakes()[:36]
    right = np.flatnonzero(predictions.answers == predictions.labels)[: max(24, 60 - len(wrong))]
    shown = [*wrong, *right][:60]
    num_rows = max(1, -(-len(shown) // num_columns))
    figure = new_figure(num_columns * 0.95, num_rows * TILE_HEIGHT * 0.95 + 0.4)
    figure.suptitle(
        f"{title}: {len(predictions.mistakes()):,} mistakes in {len(predictions.labels):,}, the most confident first"
    )
    axes = tiled_axes(figure, num_rows, num_columns)
    for place, index in enumerate(shown):
        answer, label = predictions.answers[index], predictions.labels[index]
        if answer == label:
            text = f"{answer}"
            look: dict[str, Any] = {"fontsize": 9, "color": "#888888"}
        else:
            text = f"{answer}, not {label} ({predictions.confidences[index]:.0%})"
            look = {"fontsize": 7, "color": WRONG, "fontweight": "bold"}
        show_tile(axes, images[index], *divmod(place, num_columns), text, **look)
    return png(figure)


def tiled_axes(figure: Figure, num_rows: int, num_columns: int) -> Axes:
    """Axes for a grid of pictures with a line above each: axes for every picture would take ten times as long."""
    axes = figure.subplots()
    axes.axis("off")
    axes.set(xlim=(0, num_columns), ylim=(num_rows * TILE_HEIGHT, 0), aspect="equal")
    return axes


def show_tile(axes: Axes, image: np.ndarray, row: int, column: int, text: str, **look: Any) -> None:
    """One picture in a grid, uint8 (28, 28) or (28, 28, 3), with a line of text above it."""
    bottom = (row + 1) * TILE_HEIGHT
    inside = (column + 0.04, column + 0.96, bottom, bottom - 0.92)
    axes.imshow(image, cmap="gray", vmin=0, vmax=255, extent=inside, aspect="auto")
    axes.text(column + 0.5, bottom - 0.97, text, ha="center", va="bottom", **look)


def contact_sheet(pictures: Sequence[tuple[Callable[[], bytes], str]]) -> bytes:
    """Small views of picture files, by what reads their bytes, each with a line above it; at most MOST_CONTACTS."""
    shown = pictures[:MOST_CONTACTS]
    columns = min(10, len(shown))
    rows = -(-len(shown) // columns)
    figure = new_figure(1.25 * columns, 1.45 * rows + 0.5)
    more = f", the first {len(shown):,} of {len(pictures):,}" if len(shown) < len(pictures) else ""
    figure.suptitle(f"Pictures that are left out{more}", fontsize=12)
    axes = figure.subplots(rows, columns, squeeze=False)
    for place in range(rows * columns):
        tile = axes[divmod(place, columns)]
        tile.set_axis_off()
        if place < len(shown):
            read, words = shown[place]
            tile.set_title(words, fontsize=7)
            try:
                tile.imshow(decode_image(read(), longer_side=CONTACT_SIDE))
            except (UnreadableImage, OSError):
                tile.text(0.5, 0.5, "?", ha="center", va="center", fontsize=20, color=WRONG, transform=tile.transAxes)
    return png(figure)
