"""What a search leaves: a table of its trials, files and pictures."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from digits.commands.console import show_table, write_files
from digits.commands.reports.training import figures_of_best
from digits.config import RECIPES
from digits.reporting import search_figures
from digits.storage import Storage
from digits.training import runs
from digits.tuning import searches
from digits.tuning.pareto import measure_inference_milliseconds, pareto_front
from digits.tuning.searches import (
    FAILED,
    Search,
    TrialResult,
    epochs_without_early_stopping,
    ranked,
)


def make_rows(trials: Sequence[TrialResult], *, timed: bool = True) -> list[dict[str, Any]]:
    """The rows of trials.csv, best first, with each network's time for a prediction, and whether it is on either front.

    Unless `timed`, predictions are not timed, and there is only the front of parameters.
    """
    costs = ("parameters", "milliseconds") if timed else ("parameters",)
    rows = [
        {
            **trial.to_row(),
            "milliseconds": measure_inference_milliseconds(trial.candidate.architecture) if timed else None,
        }
        for trial in [*ranked(trials), *(trial for trial in trials if trial.score is None)]
    ]
    scored = [row for row in rows if row["score"] is not None]
    scores = np.array([row["score"] for row in scored])
    for cost in costs:
        front: Sequence[bool] = pareto_front(scores, np.array([row[cost] for row in scored])).tolist() if scored else []
        for row in rows:
            row[f"on_front_of_{cost}"] = False
        for row, on_front in zip(scored, front, strict=True):
            row[f"on_front_of_{cost}"] = bool(on_front)
    return rows


def report_trials(run_dir: Storage, search: Search, trials: Sequence[TrialResult]) -> list[dict[str, Any]]:
    """Print the table of trials and write trials.csv and the pictures; returns the rows."""
    rows = make_rows(trials)
    files = {"trials.csv": searches.trials_csv(rows)}
    best = ranked(trials)
    if best:
        numbers = {int(row["trial"].rsplit("-", 1)[1]): row["milliseconds"] for row in rows}
        files |= {
            "hyper_parameters.png": search_figures.score_by_hyper_parameter(trials),
            "trial_curves.png": search_figures.trial_curves(trials, search.tuning.max_epochs),
            "pareto.png": search_figures.fronts(trials, numbers),
        }
    write_files(run_dir, files)
    show_trials(rows)
    print(f"written to {run_dir}: {', '.join(files)}; events for TensorBoard in {searches.TUNE}", flush=True)
    return rows


def show_trials(rows: Sequence[dict[str, Any]]) -> None:
    """Print one row for each trial; a star marks the networks that no cheaper one equals."""

    def text(value: float | None, form: str) -> str:
        return "-" if value is None else f"{value:{form}}"

    def star(row: dict[str, Any], cost: str) -> str:
        return "*" if row.get(f"on_front_of_{cost}") else " "

    show_table(
        "Trials, the best first (*: no cheaper network equals it)",
        ["trial", "filters", "dense", "training", "parameters", "ms", "epochs", "photos", "score", "end"],
        [
            [
                row["trial"],
                row["network"] if row["network"] in RECIPES else row["shape"],
                str(row["dense_units"] or "-"),
                training_of(row),
                f"{row['parameters']:,}{star(row, 'parameters')}",
                f"{text(row['milliseconds'], '.2f')}{star(row, 'milliseconds')}",
                str(row["epochs"]),
                text(row["photo_score"], ".1%"),
                text(row["score"], ".2%"),
                row["status"],
            ]
            for row in rows
        ],
    )


def training_of(row: dict[str, Any]) -> str:
    """How a trial trains: learning rate and, where they vary, schedule, batch size and strength of the distortion."""
    forms = {"learning_rate": "{:.2g}", "learning_rate_schedule": "{}", "batch_size": "{}", "distortion": "x{:g}"}
    return " ".join(form.format(row[name]) for name, form in forms.items() if row[name] is not None)


def document_of(
    best: dict[str, Any] | None,
    search: Search,
    run_dir: Storage,
    trials: Sequence[TrialResult],
    total_s: float,
) -> dict[str, Any]:
    """The job's JSON document; `best` is what `figures_of_best` gives."""
    return {
        "best": best,
        "trials": len(trials),
        "stopped_early": sum(trial.status == "stopped early" for trial in trials),
        "failed": sum(trial.status in FAILED for trial in trials),
        "epochs_trained": sum(trial.epochs_trained for trial in trials),
        "epochs_without_early_stopping": epochs_without_early_stopping(trials, search.tuning.max_epochs),
        "total_s": total_s,
        "run_dir": str(run_dir),
    }


def best_trial(search: Search, run_dir: Storage, trials: Sequence[TrialResult]) -> dict[str, Any] | None:
    """The best network so far, as its trial left it, for the job's document; None where no trial has a score."""
    best = ranked(trials)
    if not best:
        return None
    # A trial that was interrupted may have gone on since its last report: its folder tells how far.
    checkpoint = runs.best_epoch(run_dir / searches.TRIALS, search.network(best[0].number))
    return figures_of_best(checkpoint)


def write_metrics(run_dir: Storage, document: dict[str, Any], details: dict[str, Any]) -> None:
    """Write metrics.json: the job's document and what stands behind it."""
    (run_dir / "metrics.json").write_bytes(json.dumps({**document, **details}, indent=1, allow_nan=False).encode())
