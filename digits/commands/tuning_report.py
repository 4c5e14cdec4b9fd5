"""What jobs/tune.py shows: a growing table of epochs while it searches, then the trials, files and pictures."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from digits.commands.console import ProgressLine, show_table
from digits.reporting import search_figures
from digits.storage import Storage
from digits.training import runs
from digits.training.state import EpochResult
from digits.tuning import searches
from digits.tuning.pareto import inference_milliseconds, pareto_front
from digits.tuning.searches import (
    FAILED,
    Search,
    TrialResult,
    epochs_without_early_stopping,
    ranked,
    score_of,
    trial_name,
)
from digits.tuning.space import Candidate


class SearchProgress:
    """Prints what `tuning.search_networks` tells: a row for each epoch and each end, and a bar on a terminal."""

    def __init__(self, search: Search, earlier: Sequence[TrialResult]) -> None:
        self.search = search
        self.line = ProgressLine()
        self.ended = len(earlier)
        self.begun = False
        self.best = max((trial.score for trial in earlier if trial.score is not None), default=0.0)

    def reached(self, name: str) -> str:
        """What is said of a search that is stopped now; `name` is what goes on by --resume."""
        if not self.begun:
            return "before the search began"
        return f"after {self.ended} of {len(self.search.candidates)} trials; go on with --resume {name}"

    def __call__(self, event: dict[str, Any]) -> None:
        """Show one event."""
        match event:
            case {"event": "begun"}:
                self.begun = True
            case {"event": "prepared", "done": done, "total": total}:
                self.line.show("preparing digits", done / total)
            case {"event": "epoch", "trial": number, "result": result}:
                self.best = max(self.best, score_of(result))
                self.line.print(self.row(number, result))
            case {"event": "ended", "trial": trial}:
                self.ended += 1
                self.line.print(f"{trial.name} {describe(trial.candidate):<44} {outcome(trial)}")
        if event["event"] in ("epoch", "ended"):
            total = len(self.search.candidates)
            self.line.show(f"{self.ended}/{total} trials", self.ended / total)

    def row(self, number: int, result: EpochResult) -> str:
        """One epoch of one trial."""
        photo = "" if result.photo_score is None else f" | photos {result.photo_score:6.2%}"
        return (
            f"{trial_name(number)} {describe(self.search.candidates[number]):<44}"
            f" epoch {result.epoch:2}/{self.search.tuning.max_epochs} | loss {result.train_loss:.4f}"
            f" | validation {result.validation_accuracy:6.2%}{photo} | best {self.best:6.2%} | {result.seconds:5.1f} s"
        )


def describe(candidate: Candidate) -> str:
    """A candidate in a few words."""
    network = candidate.architecture
    dense = f"dense {network.dense_units}" if network.dense_units else "no dense"
    name = f"{candidate.name} " if candidate.published else ""
    return f"{name}{'-'.join(map(str, network.filters))} {dense} rate {candidate.learning_rate:.2g}"


def outcome(trial: TrialResult) -> str:
    """How a trial ended, in words."""
    after = f"{trial.status} after {trial.epochs_trained} epochs"
    return f"{after}: {trial.reason}" if trial.reason else after


def rows_of(trials: Sequence[TrialResult], *, timed: bool = True) -> list[dict[str, Any]]:
    """The rows of trials.csv, best first, with the time of a prediction and the places on the two fronts.

    Times are left out where there is no time to take them, and with them that front.
    """
    costs = ("parameters", "milliseconds") if timed else ("parameters",)
    rows = [
        {**trial.to_row(), "milliseconds": inference_milliseconds(trial.candidate.architecture) if timed else None}
        for trial in [*ranked(trials), *(trial for trial in trials if trial.score is None)]
    ]
    scored = [row for row in rows if row["score"] is not None]
    scores = np.array([row["score"] for row in scored])
    for cost in costs:
        front = pareto_front(scores, np.array([row[cost] for row in scored])) if scored else []
        for row in rows:
            row[f"on_front_of_{cost}"] = False
        for row, on_front in zip(scored, front, strict=True):
            row[f"on_front_of_{cost}"] = bool(on_front)
    return rows


def report_trials(run_dir: Storage, search: Search, trials: Sequence[TrialResult]) -> list[dict[str, Any]]:
    """Print the table of trials and write trials.csv and the pictures; returns the rows."""
    rows = rows_of(trials)
    files = {"trials.csv": searches.trials_csv(rows)}
    best = ranked(trials)
    if best:
        name = "validation accuracy" if best[0].history[-1].photo_score is None else "photo score"
        numbers = {int(row["trial"].rsplit("-", 1)[1]): row["milliseconds"] for row in rows}
        files |= {
            "hyper_parameters.png": search_figures.score_by_hyper_parameter(trials, name),
            "trial_curves.png": search_figures.trial_curves(trials, name, search.tuning.max_epochs),
            "pareto.png": search_figures.fronts(trials, numbers, name),
        }
    for file, content in files.items():
        (run_dir / file).write_bytes(content)
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
        ["trial", "network", "filters", "dense", "rate", "parameters", "ms", "epochs", "validation", "score", "end"],
        [
            [
                row["trial"],
                row["network"],
                "-".join(str(row[f"filters_{place}"]) for place in (1, 2, 3)),
                str(row["dense_units"] or "-"),
                f"{row['learning_rate']:.1e}",
                f"{row['parameters']:,}{star(row, 'parameters')}",
                f"{text(row['milliseconds'], '.2f')}{star(row, 'milliseconds')}",
                str(row["epochs"]),
                text(row["validation_accuracy"], ".2%"),
                text(row["score"], ".2%"),
                row["status"],
            ]
            for row in rows
        ],
    )


def document_of(
    best: dict[str, Any] | None,
    search: Search,
    run_dir: Storage,
    trials: Sequence[TrialResult],
    total_s: float,
) -> dict[str, Any]:
    """The job's JSON document; `best` is what best_trial or best_trained gives."""
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
    epoch = EpochResult(**checkpoint.record["metrics"])
    return {
        "architecture": checkpoint.architecture.to_dict(),
        "score": score_of(epoch),
        "validation_accuracy": epoch.validation_accuracy,
        "parameters": checkpoint.record["parameters"],
        "checkpoint": checkpoint.path,
    }


def write_metrics(run_dir: Storage, document: dict[str, Any], details: dict[str, Any]) -> None:
    """Write metrics.json: the job's document and what stands behind it."""
    (run_dir / "metrics.json").write_bytes(json.dumps({**document, **details}, indent=1, allow_nan=False).encode())
