"""Pictures of a search: score by hyper-parameter, learning curves with early stops, Pareto fronts."""

import math
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.text import Annotation
from matplotlib.ticker import FixedLocator, LogLocator, MaxNLocator, NullFormatter
from matplotlib.transforms import Bbox

from digits.reporting.figures import COLOURS, INK, PALE, WRONG, new_figure, png, quiet
from digits.tuning.budget import score_of
from digits.tuning.candidate import HYPER_PARAMETERS
from digits.tuning.pareto import pareto_front
from digits.tuning.searches import TrialResult, ranked

COLOUR_OF = dict(zip(("drawn", "improved", "baseline", "varied", "recommended"), COLOURS, strict=False))
BASES = {"filters": 2, "batch_size": 2, "learning_rate": 10}
"""Of hyper-parameters on a logarithmic scale; those of the filters of all convolutions begin alike."""
SCORE = {"photo_loss": "score: probability of the right digit, %", "photo_score": "photo score, %"}
"""What the axis of scores is called, by what trials are ranked by."""
TICKS = (0, 20, 40, 60, 70, 80, 85, 90, 95, 98, 99, 99.5)
"""Scores that are marked on the axis, in per cent."""
LINE_HEIGHT = 13
"""Least distance of two labels, in points."""


def scale_by_errors(axes: Axes, scores: Sequence[float]) -> None:
    """Draw scores, in per cent, by the logarithm of the errors, so that good networks lie visibly apart."""

    def depth(score: npt.ArrayLike) -> Any:
        return -np.log10(np.maximum(100.2 - np.asarray(score), 1e-3))

    def score(depth: npt.ArrayLike) -> Any:
        return 100.2 - 10.0 ** -np.asarray(depth)

    axes.set_yscale("function", functions=(depth, score))
    low, high = depth(min(scores)), depth(max(scores))
    margin = 0.08 * (high - low) + 0.02
    axes.set_ylim(score(low - margin), score(high + margin))
    axes.yaxis.set_major_locator(FixedLocator(TICKS))
    axes.yaxis.set_major_formatter("{x:g}")


def label_ends(axes: Axes, x: float, labels: Sequence[tuple[float, str, str]]) -> None:
    """Write labels (score, text, colour) to the right of `x`, from the lowest up, so that none covers another."""
    lowest = -math.inf
    for score, text, colour in sorted(labels):
        wanted = axes.transData.transform((x, score))[1] * 72 / axes.figure.dpi
        place = max(wanted, lowest + LINE_HEIGHT)
        axes.annotate(
            f" {text}", (x, score), (4, place - wanted), textcoords="offset points", color=colour, va="center"
        )
        lowest = place


def name_points(axes: Axes, points: np.ndarray, names: Mapping[int, str]) -> None:
    """Write names beside points, float (N, 2) in data coordinates, where they cover neither points nor each other.

    `names` by row of `points`; the axes' limits and scales must be final. Where all places are taken, a name covers as
    few as it can.
    """
    taken = [Bbox.from_bounds(x - 4, y - 4, 8, 8) for x, y in axes.transData.transform(points)]
    offsets = [*product((5, -5), (0, 7, -7, 14, -14, 21, -21, 28, -28))]
    for row, name in names.items():
        text = axes.annotate(name, points[row], offsets[0], textcoords="offset points", va="center", fontsize=8)

        def covered(offset: tuple[int, int], text: Annotation = text) -> int:
            text.set(position=offset, horizontalalignment="left" if offset[0] > 0 else "right")
            box = text.get_window_extent()
            return box.count_overlaps(taken) + (box.x0 < axes.bbox.x0 or box.x1 > axes.bbox.x1)

        covered(min(offsets, key=covered))
        taken.append(text.get_window_extent())


def per_cent(trial: TrialResult) -> float:
    """The score of a trial that has one."""
    assert trial.score is not None
    return 100 * trial.score


def score_by_hyper_parameter(trials: Sequence[TrialResult]) -> bytes:
    """One panel for each hyper-parameter that differs; a filled mark is a trial that trained to the end.

    The ring is the best. A network without the convolution of a panel is not shown there.
    """
    scored = ranked(trials)
    values = [trial.candidate.hyper_parameters() for trial in scored]
    present = [name for name in HYPER_PARAMETERS if any(name in of_trial for of_trial in values)]
    names = [name for name in present if len({of_trial.get(name) for of_trial in values}) > 1] or present
    columns = 5 if len(names) > 9 else 3
    rows = -(-len(names) // columns)
    figure = new_figure(3 * columns + 2, 3 * rows)
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for axes, name in zip(grid.flat, names, strict=False):
        for trial, of_trial in reversed(list(zip(scored, values, strict=True))):
            if name not in of_trial:
                continue
            colour = COLOUR_OF[trial.candidate.name]
            face = colour if trial.status == "finished" else "white"
            axes.plot(of_trial[name], per_cent(trial), "o", color=colour, markerfacecolor=face, markersize=6)
            if trial is scored[0]:
                axes.plot(of_trial[name], per_cent(trial), "o", color=INK, markersize=12, markerfacecolor="none")
        axes.set_title(name.replace("_", " "), loc="left", fontsize=11)
        scale_of(axes, name)
        quiet(axes)
    scale_by_errors(grid.flat[0], [per_cent(trial) for trial in scored])
    for axes in grid.flat[len(names) :]:
        axes.axis("off")
    for row in grid:
        row[0].set_ylabel(SCORE[scored[0].rank_by])
    figure.legend(
        handles=legend(trials, "trained to the end", "stopped early"),
        ncols=len(COLOUR_OF) + 2,
        frameon=False,
        loc="outside lower center",
    )
    return png(figure)


def scale_of(axes: Axes, name: str) -> None:
    """Draw the values of a hyper-parameter on its scale."""
    base = BASES.get(name.split("_")[0] if name.startswith("filters") else name)
    if base:
        axes.set_xscale("log", base=base)
        axes.xaxis.set_major_locator(LogLocator(base, subs=(1, 2, 5) if base == 10 else (1,)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
    if name in ("convolutions", "poolings"):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if name == "learning_rate_schedule":
        axes.margins(x=0.4)


def legend(trials: Sequence[TrialResult], filled: str, hollow: str) -> list[Line2D]:
    """What colours and marks mean, for the networks that are shown."""
    present = {trial.candidate.name for trial in trials}
    marks = [
        Line2D([], [], color=colour, marker="o", linestyle="", label=name)
        for name, colour in COLOUR_OF.items()
        if name in present
    ]
    marks.append(Line2D([], [], color=INK, marker="o", linestyle="", label=filled))
    marks.append(Line2D([], [], color=INK, marker="o", mfc="white", linestyle="", label=hollow))
    return marks


def trial_curves(trials: Sequence[TrialResult], max_epochs: int) -> bytes:
    """Every trial's score by epoch; a cross ends a trial that was stopped early, a red cross one that failed."""
    figure = new_figure(9, 5)
    axes = figure.subplots()
    best, labels, all_scores = ranked(trials)[0], [], []
    for trial in sorted(trials, key=lambda one: one.score or 0):
        if not trial.history:
            continue
        epochs = [epoch.epoch for epoch in trial.history]
        scores = [100 * score_of(epoch, trial.rank_by) for epoch in trial.history]
        all_scores += scores
        known = trial.candidate.known
        colour = COLOUR_OF[trial.candidate.name]
        style: dict[str, Any] = {"color": colour, "alpha": 1 if known or trial is best else 0.45}
        axes.plot(epochs, scores, linewidth=3 if trial is best else 1.5, **style)
        end = {"finished": ("o", colour), "stopped early": ("x", colour)}.get(trial.status, ("X", WRONG))
        axes.plot(epochs[-1], scores[-1], marker=end[0], color=end[1], markersize=6)
        if known or trial is best:
            label = f"{trial.candidate.name if known else trial.name}{', best' if trial is best else ''}"
            labels.append((scores[-1], f"{label} {scores[-1]:.1f}", colour))
    axes.set_xlim(0.8, max_epochs * 1.15 + 0.5)
    scale_by_errors(axes, all_scores)
    label_ends(axes, max_epochs, labels)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("epoch")
    axes.set_ylabel(SCORE[best.rank_by])
    axes.set_title("Learning curves; a cross marks an early stop", loc="left")
    quiet(axes)
    return png(figure)


def fronts(trials: Sequence[TrialResult], milliseconds: dict[int, float]) -> bytes:
    """Score by parameters and by the time of a prediction; a line joins the networks that no cheaper one equals.

    `milliseconds` of each trial, by number.
    """
    scored = ranked(trials)
    figure = new_figure(11, 4.6)
    costs: dict[str, list[float]] = {
        "parameters": [trial.candidate.architecture.num_parameters() for trial in scored],
        "milliseconds for one image on one thread": [milliseconds[trial.number] for trial in scored],
    }
    scores = np.array([trial.score for trial in scored])
    panels: Sequence[Axes] = figure.subplots(1, 2, sharey=True)
    on_front = [pareto_front(scores, np.array(values, float)) for values in costs.values()]
    for axes, (name, values), best in zip(panels, costs.items(), on_front, strict=True):
        front = sorted(np.flatnonzero(best).tolist(), key=values.__getitem__)
        axes.step([values[row] for row in front], 100 * scores[front], where="post", color=PALE, linewidth=3, zorder=0)
        for row, trial in enumerate(scored):
            colour = COLOUR_OF[trial.candidate.name]
            face = colour if best[row] else "white"
            axes.plot(values[row], 100 * scores[row], "o", color=colour, markerfacecolor=face, markersize=6)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:,.10g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel(name)
        quiet(axes)
        axes.set_title(f"{len(front)} of {len(scored)} networks are on the front", loc="left", fontsize=11)
    scale_by_errors(panels[0], (100 * scores).tolist())
    panels[0].set_ylabel(SCORE[scored[0].rank_by])
    figure.legend(
        handles=legend(trials, "on the front", "beaten"),
        ncols=len(COLOUR_OF) + 2,
        frameon=False,
        loc="outside lower center",
    )
    figure.draw_without_rendering()  # names are placed in the final layout
    for axes, values, best in zip(panels, costs.values(), on_front, strict=True):
        names = {
            row: trial.candidate.name if trial.candidate.known else trial.name
            for row, trial in enumerate(scored)
            if trial.candidate.known or best[row]
        }
        name_points(axes, np.stack([np.array(values, float), 100 * scores], 1), names)
    return png(figure)
