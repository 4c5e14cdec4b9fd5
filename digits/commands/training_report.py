"""What jobs/train.py shows: a line for each epoch while it trains, then a table, files and pictures."""

import json
import statistics
import time
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np

from digits.commands.console import ProgressLine, show_table
from digits.models import checkpoints
from digits.reporting import figures
from digits.storage import Storage
from digits.training.finish import Finished
from digits.training.runs import Run
from digits.training.state import EpochResult, history_csv


class TrainingProgress:
    """Prints what `training.train` tells: one aligned line for each epoch, and a bar on a terminal."""

    def __init__(self, run: Run) -> None:
        self.width = max(len(network.name) for network in run.networks)
        self.line = ProgressLine()
        self.begun = False
        self.epochs = {network.name: network.recipe.training.epochs for network in run.networks}
        self.done = dict.fromkeys(self.epochs, 0)

    def reached(self, name: str) -> str:
        """What is said of training that is stopped now; `name` is what goes on by --resume."""
        if not self.begun:
            return "before training began"
        done, epochs = sum(self.done.values()), sum(self.epochs.values())
        return f"after {done} of {epochs} epochs; go on with --resume {name}"

    def __call__(self, event: dict[str, Any]) -> None:
        """Show one event."""
        match event:
            case {"event": "begun"}:
                self.begun = True
            case {"event": "progress", "network": network, "epoch": epoch, "fraction": fraction}:
                self.line.show(f"{network:<{self.width}} epoch {epoch:2}", fraction)
            case {"event": "epoch", "network": network, "epochs": epochs, "result": result}:
                self.done[network] = result.epoch
                self.line.print(f"{network:<{self.width}} {epoch_line(result, epochs)}")
            case {"event": "resumed", "network": network, "epoch": epoch}:
                self.done[network] = epoch
                self.line.print(f"{network:<{self.width}} goes on after epoch {epoch}")
            case {"event": "damaged", "message": message}:
                self.line.print(f"a checkpoint is damaged, the one before it is used instead: {message}")
            case {"event": "failure", "causes": causes}:
                for rank, cause in causes.items():
                    self.line.print(f"worker {rank} failed: {cause}")
                self.line.print("starting workers again from the last checkpoint")


def epoch_line(result: EpochResult, epochs: int) -> str:
    """One epoch in one line, aligned with the lines of other epochs."""
    photo = "" if result.photo_score is None else f" photos {result.photo_score:6.2%}"
    return (
        f"epoch {result.epoch:2}/{epochs} | train loss {result.train_loss:.4f} acc {result.train_accuracy:6.2%}"
        f" | validation loss {result.validation_loss:.4f} acc {result.validation_accuracy:6.2%}{photo}"
        f" | {result.seconds:5.1f} s | {result.images_per_second:7,.0f} images/s"
    )


def summary_of(finished: Finished, total_s: float) -> dict[str, Any]:
    """One network of the job's JSON document; accuracy and loss are those of the kept epoch, as training saw them."""
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


def mean_and_spread(values: Sequence[float], form: str) -> str:
    """Mean, and the standard deviation where there are several values; `form` is a format such as .2%."""
    mean = f"{statistics.fmean(values):{form}}"
    return f"{mean} ± {statistics.stdev(values):{form}}" if len(values) > 1 else mean


def report(
    storage: Storage, run_dir: Storage, finished: Sequence[Finished], images: np.ndarray, started: float
) -> dict[str, Any]:
    """Write metrics.json, history.csv and pictures into the run's folder, register the best, print the table.

    `images` are the validation digits, uint8 (N, 28, 28), and `started` is when the job began, by perf_counter.
    Returns the job's JSON document.
    """
    histories = {
        name: [[EpochResult(**epoch) for epoch in one.checkpoint.record["history"]] for one in group]
        for name, group in groupby(finished, key=lambda one: one.checkpoint.record["architecture_name"])
    }
    best = max(finished, key=score_of)
    labels = best.predictions.labels
    pictures = {
        "digits.png": figures.sample_digits(images, labels),
        "learning_curves.png": figures.learning_curves(histories),
    }
    for one in finished:
        name = one.checkpoint.name
        pictures[f"confusion-{name}.png"] = figures.confusion_matrix(one.predictions, name)
        pictures[f"predictions-{name}.png"] = figures.prediction_grid(images, one.predictions, name)
    for name, picture in pictures.items():
        (run_dir / name).write_bytes(picture)
    (run_dir / "history.csv").write_bytes(history_csv([one.checkpoint.record for one in finished]))
    became_best = register(storage, run_dir, best)

    total_s = time.perf_counter() - started
    document = {"runs": [summary_of(one, total_s) for one in finished], "run_dir": str(run_dir)}
    (run_dir / "metrics.json").write_bytes(json.dumps(document, indent=1).encode())
    show_networks(document["runs"])
    print(f"pictures in {run_dir}: {', '.join(pictures)}")
    print(
        f"best checkpoint so far: {best.checkpoint.path}"
        if became_best
        else f"best checkpoint stays: {checkpoints.best_checkpoint(str(storage))}"
    )
    return document


def score_of(finished: Finished) -> float:
    """What the best checkpoint is chosen by: the photo score, or validation accuracy where there is none."""
    metrics = finished.checkpoint.record["metrics"]
    return metrics["validation_accuracy"] if metrics["photo_score"] is None else metrics["photo_score"]


def register(storage: Storage, run_dir: Storage, best: Finished) -> bool:
    """Name a run's best network in the storage path's best.json if it beats what stands there."""
    record = best.checkpoint.record
    details = {
        "score_name": "validation_accuracy" if record["metrics"]["photo_score"] is None else "photo_score",
        "run": run_dir.name,
        "architecture": record["architecture"],
        "training": record["training"],
    }
    return checkpoints.register_best(storage, checkpoint=best.checkpoint.path, score=score_of(best), details=details)


def show_networks(summaries: Sequence[dict[str, Any]]) -> None:
    """Print one row for each architecture: mean and standard deviation over its seeds."""
    rows = []
    for name, group in groupby(summaries, key=lambda summary: summary["architecture"]):
        of_seeds = list(group)

        def over(key: str, form: str, of_seeds: list[dict[str, Any]] = of_seeds) -> str:
            values = [summary[key] for summary in of_seeds]
            return "-" if None in values else mean_and_spread(values, form)

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
