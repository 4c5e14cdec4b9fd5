"""What a training leaves: a table, files and pictures, and its networks in the registry."""

import json
import statistics
import time
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from digits.commands.console import show_table, write_files
from digits.evaluation.metrics import show_mean
from digits.models import registering
from digits.models.checkpoints import Checkpoint
from digits.models.registry import Registry
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
        **({"validation_sources": sources} if (sources := record["validation"].get("sources")) else {}),
    }


def report(
    storage: Storage, run_dir: Storage, finished: Sequence[FinishedNetwork], images: np.ndarray, started: float
) -> dict[str, Any]:
    """Write metrics.json, history.csv and pictures into the run's folder, register the networks, print the table.

    `images` are the validation digits, uint8 (N, 28, 28), and `started` is when the job began, by perf_counter.
    Returns the job's JSON document.
    """
    records = [one.checkpoint.record for one in finished]
    by_name = {name: list(group) for name, group in groupby(records, key=lambda record: record["architecture_name"])}
    histories = {
        name: [[EpochResult(**epoch) for epoch in record["history"]] for record in group]
        for name, group in by_name.items()
    }
    kept = {name: [record["metrics"]["epoch"] for record in group] for name, group in by_name.items()}
    best = max(finished, key=lambda one: one.score)
    labels = best.predictions.labels
    pictures = {
        "digits.png": figures.sample_digits(
            images, labels, inverted_copies=best.checkpoint.record["data"]["inverted_copies"]
        ),
        "learning_curves.png": figures.learning_curves(histories, kept),
    }
    for one in finished:
        name = one.checkpoint.name
        pictures[f"confusion-{name}.png"] = figures.confusion_matrix(one.predictions, name)
        pictures[f"predictions-{name}.png"] = figures.prediction_grid(images, one.predictions, name)
    write_files(run_dir, {**pictures, "history.csv": history_csv(records)})
    registry, damaged = registering.register(storage, [one.checkpoint for one in finished])

    total_s = time.perf_counter() - started
    summaries = [summary_of(one, total_s) for one in finished]
    document = {"runs": summaries, "run_dir": str(run_dir)}
    (run_dir / "metrics.json").write_bytes(json.dumps(document, indent=1).encode())
    show_networks(summaries)
    sources = {one.checkpoint.name: one.checkpoint.record["validation"].get("sources") for one in finished}
    if all(sources.values()):
        show_sources(sources)
    print(f"pictures in {run_dir}: {', '.join(pictures)}")
    for reason in damaged:
        print(f"no longer the best: {reason}")
    print(best_so_far(registry, best.checkpoint))
    return document


def best_so_far(registry: Registry, trained: Checkpoint) -> str:
    """What the best checkpoint is, now that a run's best one is registered, and why the latter is not, if it is not."""
    best, latest = registry.in_service(), registry.find(trained.path)
    path = str(registry.folder(best))
    if best.checkpoint == latest.checkpoint:
        return f"best checkpoint so far: {path}"
    if best.is_comparable(latest):
        return f"best checkpoint stays: {path}"
    return (
        f"best checkpoint stays: {path}\n"
        f"  {latest.checkpoint} is not compared with it: {latest.differences(best)}\n"
        f"  to make it the best: python jobs/choose.py --checkpoint {latest.checkpoint}"
    )


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


def show_sources(found: Mapping[str, Mapping[str, dict[str, Any]]]) -> None:
    """Print, by what reached it, the accuracy on the validation digits of each source, see `accuracy_by_source`."""
    columns = ["", *(f"{name}: {source['images']:,}" for name, source in next(iter(found.values())).items())]
    rows = [
        [
            name,
            *("-" if source["accuracy"] is None else f"{source['accuracy']:.2%}" for source in sources.values()),
        ]
        for name, sources in found.items()
    ]
    show_table("Validation accuracy of each source, and how many images it is of", columns, rows)


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
