"""Pictures of what breaks which network; each function makes one PNG. The report shows them, the job writes them."""

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from digits.evaluation.comparison import Comparison
from digits.evaluation.corruptions import FAMILIES
from digits.evaluation.factors import PATHS, FactorResult
from digits.reporting.figures import COLOURS, INK, PALE, new_figure, png

WIDTH = 6.4
"""Width of every picture, in inches."""


def comparison_pictures(comparison: Comparison) -> dict[str, bytes]:
    """Every picture of a comparison as a PNG, by its name without .png."""
    pictures = {
        f"factor-{name}": factor_effect(result)
        for name, result in comparison.factors.items()
        if len(result.factor.levels) > 1
    }
    pictures["corruptions"] = corruption_accuracy(comparison.corruptions)
    if comparison.everyday is not None:
        pictures["paths-simulated"] = path_accuracy(comparison.everyday, "Photos simulated under everyday conditions")
    if comparison.photos is not None:
        pictures["paths-photos"] = path_accuracy(comparison.photos, "Real photos")
    return pictures


def factor_effect(result: FactorResult) -> bytes:
    """Accuracy of every network by level and path; bands and bars span all trainings of a network."""
    networks = list(dict.fromkeys(name for name, _ in result.accuracy))
    if not result.factor.is_scale:
        rows = [level.replace("_", " ") for level in result.factor.levels]
        return _rows_of_dots(result.factor.title, rows, result.accuracy)
    figure, axes = _figure(3.5, result.factor.title)
    places = np.arange(len(result.factor.levels))
    for (network, path), values in result.accuracy.items():
        colour = COLOURS[networks.index(network) % len(COLOURS)]
        solid = path == PATHS[1]
        lowest, mean, highest = (100 * row for row in (values.min(axis=0), values.mean(axis=0), values.max(axis=0)))
        axes.plot(places, mean, color=colour, linestyle="-" if solid else ":", marker="o", markersize=3)
        axes.fill_between(places, lowest, highest, color=colour, alpha=0.15, linewidth=0)
    axes.set_xticks(places, result.factor.levels)
    axes.set_ylim(-3, 103)
    axes.set_ylabel("% read rightly")
    _name(figure, networks, "dotted: resized, solid: prepared")
    return png(figure)


def corruption_accuracy(corruptions: Mapping[str, np.ndarray]) -> bytes:
    """Accuracy of every network, float (S, 15) each, on every family of MNIST-C and on their mean."""
    rows = [*(family.replace("_", " ") for family in FAMILIES), "mean of all"]
    accuracy = {
        (name, PATHS[1]): np.column_stack([values, values.mean(axis=1)]) for name, values in corruptions.items()
    }
    return _rows_of_dots("Corrupted digits, the families of MNIST-C", rows, accuracy)


def path_accuracy(accuracy: Mapping[tuple[str, str], np.ndarray], title: str) -> bytes:
    """Accuracy of every network by both paths, float (S,) each, as bars; a line spans all trainings."""
    networks = list(dict.fromkeys(name for name, _ in accuracy))
    figure, axes = _figure(0.7 + 0.62 * len(networks), title)
    for row, network in enumerate(networks):
        colour = COLOURS[row % len(COLOURS)]
        for path, offset, strength in zip(PATHS, (-0.19, 0.19), (0.4, 0.85), strict=True):
            values = 100 * accuracy[network, path]
            axes.barh(row + offset, values.mean(), 0.34, color=colour, alpha=strength)
            axes.hlines(row + offset, values.min(), values.max(), color=INK, linewidth=1.6)
            axes.text(1.5, row + offset, f"{values.mean():.1f} % {path}", va="center", fontsize=8, color=INK)
    axes.set_yticks(np.arange(len(networks)), [textwrap.fill(network, 18) for network in networks])
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel("% read rightly")
    return png(figure)


def _rows_of_dots(title: str, rows: Sequence[str], accuracy: Mapping[tuple[str, str], np.ndarray]) -> bytes:
    """A row for each level, in it a dot for each network and path, float (S, rows) each."""
    networks = list(dict.fromkeys(name for name, _ in accuracy))
    figure, axes = _figure(1.1 + len(rows) * (0.13 + 0.035 * len(accuracy)), title)
    for number, ((network, path), values) in enumerate(accuracy.items()):
        colour = COLOURS[networks.index(network) % len(COLOURS)]
        at = np.arange(len(rows)) + 0.7 * ((number + 0.5) / len(accuracy) - 0.5)
        fill = colour if path == PATHS[1] else "white"
        axes.hlines(at, 100 * values.min(axis=0), 100 * values.max(axis=0), color=colour, linewidth=1.4, alpha=0.6)
        axes.scatter(100 * values.mean(axis=0), at, s=17, facecolors=fill, edgecolors=colour, zorder=3)
    axes.set_yticks(np.arange(len(rows)), rows)
    axes.invert_yaxis()
    # Not so narrow that differences without meaning look large.
    axes.set_xlim(min(80, axes.get_xlim()[0]), 101)
    axes.set_xlabel("% read rightly")
    both = any(path == PATHS[0] for _, path in accuracy)
    _name(figure, networks, "open: resized, full: prepared" if both else None)
    return png(figure)


def _figure(height: float, title: str) -> tuple[Figure, Axes]:
    """A figure with one pair of axes, `height` inches high."""
    figure = new_figure(WIDTH, height)
    axes = figure.subplots()
    axes.set_title(title, loc="left", fontsize=11)
    axes.tick_params(labelsize=8, length=0)
    axes.spines[:].set_visible(False)
    axes.grid(color=PALE, linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def _name(figure: Figure, networks: Sequence[str], title: str | None) -> None:
    """Say below the axes which colour is which network."""
    axes = figure.axes[0]
    handles = [
        axes.scatter([], [], s=24, color=COLOURS[number % len(COLOURS)], label=network)
        for number, network in enumerate(networks)
    ]
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=min(4, len(networks)),
        frameon=False,
        fontsize=8,
        title=title,
        title_fontsize=8,
    )
