#!/usr/bin/env python
"""Judges a checkpoint: on the validation digits it never trained on, and on a folder of labelled photos.

Writes metrics.json, history.csv, predictions.csv and pictures into a run folder of the storage path.
"""

import csv
import io
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from digits import checkpoints, data, plots
from digits.checkpoints import Checkpoint
from digits.config import DataConfig, require
from digits.evaluation import Predictions, evaluate
from digits.history import history_csv
from digits.images import UnreadableImage, decode_image, resize_photo
from digits.inference import classifier_of
from digits.photo_folder import LabelledPhoto, PhotoFolderError, find_photos
from digits.storage import Storage
from jobs.console import run_job, show_table


@dataclass(frozen=True, kw_only=True)
class EvaluateSettings:
    """Command line of jobs/evaluate.py."""

    checkpoint: str | None = None
    """Folder or URI of a checkpoint; left out, the best one of the storage path."""
    photos: Path | None = None
    """Folder of labelled photos: labels.csv with columns file and label, folders 0 to 9, or names that begin so."""
    data: str | None = None
    """Folder or bucket of the digits that the checkpoint was trained and validated on; left out, as it says itself."""
    storage_path: str = "runs"
    """Folder or bucket for the run folder that is written."""


def validation_digits(checkpoint: Checkpoint, path: str | None) -> tuple[np.ndarray, np.ndarray]:
    """The digits that a checkpoint was validated on: uint8 (N, 28, 28) and int64 (N,).

    Refuses other data than it was trained on, since its training digits could then be among them.
    """
    record = dict(checkpoint.record["data"])
    fingerprint = record.pop("fingerprint")
    config = DataConfig(**{**record, "path": path or record["path"]})
    files = data.find_digits(config.path)
    require(
        files.fingerprint == fingerprint,
        f"the digits of {config.path or 'the shipped MNIST'} are not those that {checkpoint.name} was trained on",
        f"data with the fingerprint {fingerprint[:12]}...",
        "name the folder of its training data with --data",
    )
    return data.read_without_ray(files, data.split_rows(files, config), inverted_copies=config.inverted_copies)


def read_photos(photos: list[LabelledPhoto]) -> tuple[np.ndarray, np.ndarray]:
    """All photos as the network sees them, uint8 (N, 28, 28, 3), and their labels int64 (N,)."""
    images = []
    for photo in photos:
        try:
            images.append(resize_photo(decode_image(photo.path.read_bytes())))
        except UnreadableImage as error:
            raise PhotoFolderError(
                f"{photo.path} cannot be read: {error}", "a picture", "remove the file, or save it as PNG or JPEG"
            ) from error
    return np.stack(images), np.array([photo.label for photo in photos], np.int64)


def figures_of(predictions: Predictions) -> dict[str, Any]:
    """What the JSON document says of predictions."""
    return {"accuracy": predictions.accuracy, "loss": predictions.loss, "images": len(predictions.labels)}


def show(title: str, predictions: Predictions) -> None:
    """Print accuracy, loss and the accuracy of each digit."""
    by_digit = ["-" if value is None else f"{value:.1%}" for value in predictions.accuracy_by_digit()]
    show_table(
        title,
        ["accuracy", "loss", "images", *map(str, range(10))],
        [[f"{predictions.accuracy:.2%}", f"{predictions.loss:.4f}", f"{len(predictions.labels):,}", *by_digit]],
    )


def predictions_csv(names: list[str], predictions: Predictions) -> bytes:
    """One row for each picture: file, label, answer, confidence, and ten probabilities."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(["file", "label", "answer", "confidence", *(f"p{digit}" for digit in range(10))])
    for row in zip(
        names, predictions.labels, predictions.answers, predictions.confidences, predictions.probabilities, strict=True
    ):
        writer.writerow([*row[:3], f"{row[3]:.6f}", *(f"{p:.6f}" for p in row[4])])
    return buffer.getvalue().encode()


def evaluate_checkpoint(settings: EvaluateSettings) -> dict[str, Any]:
    """Judge what the command line names; returns the job's JSON document."""
    storage = Storage.open(settings.storage_path)
    photos = find_photos(settings.photos) if settings.photos else []
    checkpoint = checkpoints.load(settings.checkpoint or checkpoints.best_checkpoint(settings.storage_path))
    images, labels = validation_digits(checkpoint, settings.data)
    photo_images, photo_labels = read_photos(photos) if photos else (None, None)
    storage.check_writable()

    run_dir = storage / time.strftime(f"evaluate-{checkpoint.name}-%Y%m%d-%H%M%S")
    predict = classifier_of(checkpoint).probabilities
    print(f"{checkpoint.name}: {checkpoint.record['parameters']:,} parameters, from {checkpoint.path}", flush=True)
    validation = evaluate(predict, images, labels)
    show("Validation digits", validation)
    files = {
        "history.csv": history_csv([checkpoint.record]),
        "confusion.png": plots.confusion_matrix(validation, "Validation digits"),
        "predictions.png": plots.prediction_grid(images, validation, "Validation digits"),
        "digits.png": plots.sample_digits(images, labels),
    }
    document: dict[str, Any] = {
        "checkpoint": checkpoint.path,
        "validation": figures_of(validation),
        "photos": None,
        "run_dir": str(run_dir),
    }
    details = {"validation": details_of(validation), "photos": None}
    if photos:
        of_photos = evaluate(predict, photo_images, photo_labels)
        show("Photos", of_photos)
        document["photos"] = figures_of(of_photos)
        details["photos"] = details_of(of_photos)
        names = [str(photo.path.relative_to(settings.photos)) for photo in photos]
        files["photos.csv"] = predictions_csv(names, of_photos)
        files["confusion-photos.png"] = plots.confusion_matrix(of_photos, "Photos")
        files["predictions-photos.png"] = plots.prediction_grid(photo_images, of_photos, "Photos")
    files["metrics.json"] = json.dumps({**document, "details": details}, indent=1).encode()
    for name, content in files.items():
        (run_dir / name).write_bytes(content)
    print(f"written to {run_dir}: {', '.join(files)}")
    return document


def details_of(predictions: Predictions) -> dict[str, Any]:
    """Confusion counts, accuracy of each digit, and the twenty most confident mistakes."""
    mistakes = predictions.mistakes()[:20]
    return {
        "confusion": predictions.confusion().tolist(),
        "accuracy_by_digit": predictions.accuracy_by_digit(),
        "most_confident_mistakes": [
            {
                "index": int(index),
                "label": int(predictions.labels[index]),
                "answer": int(predictions.answers[index]),
                "confidence": float(predictions.confidences[index]),
            }
            for index in mistakes
        ],
    }


if __name__ == "__main__":
    run_job(EvaluateSettings, evaluate_checkpoint, __doc__)
