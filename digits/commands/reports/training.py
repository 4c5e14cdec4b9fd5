"""What a training leaves: a table, files and pictures, and the best network registered."""

import json
import statistics
import time
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np

from digits.commands.console import show_table, write_files
from digits.evaluation.metrics import show_mean
from digits.models import checkpoints
from digits.models.checkpoints import Checkpoint
from digits.reporting import figures
from digits.storage import Storage
from digits.training.finish import FinishedNetwork
from digits.training.state import EpochResult, history_csv


def summary_of(finished: FinishedNetwork, total_s: float) -> dict[str, Any]:
    """One network in the job's JSON document; accuracy and loss are those of its best epoch, before calibration."""
    record = finished.checkpoint.record
    history, metrics = record["history"], record["metrics"]
    seconds = sum(epoch["train_seconds"] for epoch in history)
    return {
        "architecture": record["architecture_name"],
        "seed": record["training"]["seed"],
        "checkpoint": finished.checkpoint.path,
        "parameters": record["parameters"],
        "best_epoch": metrics["epoch"],
        "validation_accuracy": metrics["validation_accuracy"],
        "validation_loss": metrics["validation_loss"],
        "photo_score": metrics["photo_score"],
        "expected_calibration_error": record["calibration"]["expected_calibration_error"],
        "epochs": record["training"]["epochs"],
        "images_per_second": statistics.fmean(epoch["images_per_second"] for epoch in history),
        "train_s": seconds,
        "total_s": total_s,
    }


def report(
    storage: Storage, run_dir: Storage, finished: Sequence[FinishedNetwork], images: np.ndarray, started: float
) -> dict[str, Any]:
    """Write metrics.json, history.csv and pictures into the run's folder, register the best, print the table.

    `images` are the validation digits, uint8 (N, 28, 28), and `started` is when the job began, by perf_counter.
    Returns the job's JSON document.
    """
    histories = {
        name: [[EpochResult(**epoch) for epoch in one.checkpoint.record["history"]] for one in group]
        for name, group in groupby(finished, key=lambda one: one.checkpoint.record["architecture_name"])
    }
    best = max(finished, key=lambda one: one.score)
    labels = best.predictions.labels
    pictures = {
        "digits.png": figures.sample_digits(images, labels),
        "learning_curves.png": figures.learning_curves(histories),
    }
    for one in finished:
        name = one.checkpoint.name
        pictures[f"confusion-{name}.png"] = figures.confusion_matrix(one.predictions, name)
        pictures[f"predictions-{name}.png"] = figures.prediction_grid(images, one.predictions, name)
    write_files(run_dir, {**pictures, "history.csv": history_csv([one.checkpoint.record for one in finished])})
    became_best = register(storage, run_dir, best)

    total_s = time.perf_counter() - started
    summaries = [summary_of(one, total_s) for one in finished]
    document = {"runs": summaries, "run_dir": str(run_dir)}
    (run_dir / "metrics.json").write_bytes(json.dumps(document, indent=1).encode())
    show_networks(summaries)
    print(f"pictures in {run_dir}: {', '.join(pictures)}")
    print(
        f"best checkpoint so far: {best.checkpoint.path}"
        if became_best
        else f"best checkpoint stays: {checkpoints.best_checkpoint(str(storage))}"
    )
    return document


def register(storage: Storage, run_dir: Storage, best: FinishedNetwork) -> bool:
    """Name a run's best network in the storage path's best.json if it beats what stands there."""
    record = best.checkpoint.record
    details = {
        "score_name": "photo_score",
        "run": run_dir.name,
        "architecture": record["architecture"],
        "training": record["training"],
    }
    return checkpoints.register_best(storage, checkpoint=best.checkpoint.path, score=best.score, details=details)


def figures_of_best(checkpoint: Checkpoint) -> dict[str, Any]:
    """What a search's JSON document says of its best network."""
    epoch = EpochResult(**checkpoint.record["metrics"])
    return {
        "architecture": checkpoint.architecture.to_dict(),
        "score": epoch.photo_score,
        "validation_accuracy": epoch.validation_accuracy,
        "parameters": checkpoint.record["parameters"],
        "checkpoint": checkpoint.path,
    }


def show_networks(summaries: Sequence[dict[str, Any]]) -> None:
    """Print one row for each architecture: mean and standard deviation over its seeds."""
    rows = []
    for name, group in groupby(summaries, key=lambda summary: summary["architecture"]):
        of_seeds = list(group)

        def over(key: str, form: str, of_seeds: list[dict[str, Any]] = of_seeds) -> str:
            return show_mean([summary[key] for summary in of_seeds], form)

        rows.append(
            [
                name,
                f"{of_seeds[0]['parameters']:,}",
                " ".join(str(summary["seed"]) for summary in of_seeds),
                " ".join(str(summary["best_epoch"]) for summary in of_seeds),
                over("validation_accuracy", ".2%"),
                over("validation_loss", ".4f"),
                over("photo_score", ".2%"),
                over("images_per_second", ",.0f"),
                over("train_s", ".0f"),
            ]
        )
    columns = [
        "network",
        "parameters",
        "seeds",
        "best epoch",
        "validation accuracy",
        "loss",
        "photo score",
        "images/s",
        "train s",
    ]
    show_table("Trained networks", columns, rows)
