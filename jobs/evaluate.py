#!/usr/bin/env python
"""Judges a checkpoint: on the validation digits it never trained on, and on a folder of labelled photos.

Writes report.html (which factor of a photo breaks which network, what each measure gives, every photo with its
answer), metrics.json, history.csv, photos.csv and pictures into a run folder of the storage path.
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

from digits import cluster
from digits.commands import study
from digits.commands.console import run_job, show_table
from digits.commands.page_reading import read_pages
from digits.config import CHANNELS, IMAGE_SIZE, DataConfig
from digits.data.files import find_digits
from digits.data.read import read_without_ray
from digits.data.split import split_rows
from digits.errors import require
from digits.evaluation.metrics import NO_ANSWER, Predict, Predictions, evaluate
from digits.evaluation.page_folder import find_pages, find_pictures
from digits.evaluation.photo_folder import LabelledPhoto, PhotoFolderError, find_photos
from digits.evaluation.photo_score import NO_DIGIT, prepared
from digits.images import Digits, UnreadableImage, decode_image, resize_photo
from digits.models import checkpoints
from digits.models.checkpoints import Checkpoint
from digits.models.inference import classifier_of
from digits.reading.reader import Reader
from digits.reporting import figures
from digits.reporting.factor_figures import comparison_pictures
from digits.reporting.page import PhotoReading, report_html, thumbnail
from digits.storage import Storage
from digits.training.state import history_csv


@dataclass(frozen=True, kw_only=True)
class EvaluateSettings:
    """Command line of jobs/evaluate.py."""

    checkpoint: str | None = None
    """Folder or URI of a checkpoint; left out, the best one of the storage path."""
    photos: Path | None = None
    """Folder of labelled photos: labels.csv with columns file and label, folders 0 to 9, or names that begin so."""
    pages: Path | None = None
    """Folder of pictures with several digits: labels.csv with columns file and text, lines joined by |."""
    not_digits: Path | None = None
    """Folder of pictures that show no digit: how many of them are answered all the same."""
    resize: bool = False
    """Shrink whole photos to 28x28, as the article did, instead of finding paper and ink in them."""
    compare: tuple[str, ...] = ()
    """Further checkpoints, or folders of runs with all their checkpoints, that the report sets beside this one."""
    report: bool = True
    """Whether photos are simulated, digits corrupted and report.html written; takes some two minutes on two cores."""
    photos_per_level: int = 60
    """Simulated photos for each level of each factor in the report."""
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
    files = find_digits(config.path)
    require(
        files.fingerprint == fingerprint,
        f"the digits of {config.path or 'the shipped MNIST'} are not those that {checkpoint.name} was trained on",
        f"data with the fingerprint {fingerprint[:12]}...",
        "name the folder of its training data with --data",
    )
    return read_without_ray(files, split_rows(files, config), inverted_copies=config.inverted_copies)


@dataclass(frozen=True, kw_only=True)
class SeenPhotos:
    """A folder of photos as the network sees them."""

    names: list[str]
    thumbnails: list[np.ndarray]
    """uint8 (H, W, 3), reduced for the report."""
    labels: np.ndarray
    """int64 (N,)."""
    resized: np.ndarray
    """uint8 (N, 28, 28, 3): whole photos shrunk."""
    prepared: Digits
    """uint8 (N, 28, 28, 3) and labels int64 (N,), NO_DIGIT where preparation found none."""

    def by_path(self) -> dict[str, Digits]:
        """Images and labels for each of factors.PATHS."""
        return {"resized": (self.resized, self.labels), "prepared": self.prepared}

    def predictions(self, predict: Predict, *, resize: bool) -> tuple[np.ndarray, Predictions]:
        """The images that one of the paths gives, and what the network says to them: nothing where no digit is."""
        if resize:
            return self.resized, evaluate(predict, self.resized, self.labels)
        images, found = self.prepared
        probabilities = evaluate(predict, images, self.labels).probabilities
        probabilities[found == NO_DIGIT] = 0
        return images, Predictions(probabilities=probabilities, labels=self.labels)


def read_photos(folder: Path, photos: list[LabelledPhoto]) -> SeenPhotos:
    """Decode, resize and prepare all photos; one that cannot be read is a PhotoFolderError."""
    labels = np.array([photo.label for photo in photos], np.int64)
    images = np.zeros((len(photos), IMAGE_SIZE, IMAGE_SIZE, CHANNELS), np.uint8)
    seen = SeenPhotos(
        names=[str(photo.path.relative_to(folder)) for photo in photos],
        thumbnails=[],
        labels=labels,
        resized=images,
        prepared=(images.copy(), labels.copy()),
    )
    for index, photo in enumerate(photos):
        try:
            picture = decode_image(photo.path.read_bytes())
        except UnreadableImage as error:
            raise PhotoFolderError(
                f"{photo.path} cannot be read: {error}", "a picture", "remove the file, or save it as PNG or JPEG"
            ) from error
        seen.thumbnails.append(thumbnail(picture))
        seen.resized[index] = resize_photo(picture)
        one, found = prepared([picture], labels[index : index + 1])
        seen.prepared[0][index], seen.prepared[1][index] = one[0], found[0]
    return seen


def readings_of(photos: SeenPhotos, images: np.ndarray, predictions: Predictions) -> list[PhotoReading]:
    """The rows of the report's table of photos."""
    return [
        PhotoReading(
            name=photos.names[index],
            photo=photos.thumbnails[index],
            seen=images[index],
            label=int(photos.labels[index]),
            answer=None if predictions.answers[index] == NO_ANSWER else int(predictions.answers[index]),
            confidence=float(predictions.confidences[index]),
        )
        for index in range(len(images))
    ]


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
    require(
        settings.photos_per_level >= 1,
        f"photos per level = {settings.photos_per_level}",
        "at least 1",
        "use 60, or --no-report to do without them",
    )
    storage = Storage.open(settings.storage_path)
    found = find_photos(settings.photos) if settings.photos else []
    pages = find_pages(settings.pages) if settings.pages else []
    without_digits = find_pictures(settings.not_digits) if settings.not_digits else []
    checkpoint = checkpoints.load(settings.checkpoint or checkpoints.best_checkpoint(settings.storage_path))
    compared = study.load_compared(checkpoint, settings.compare)
    images, labels = validation_digits(checkpoint, settings.data)
    photos = read_photos(settings.photos, found) if found else None
    storage.check_writable()

    run_dir = storage / time.strftime(f"evaluate-{checkpoint.name}-%Y%m%d-%H%M%S")
    predict = classifier_of(checkpoint).probabilities
    print(f"{checkpoint.name}: {checkpoint.record['parameters']:,} parameters, from {checkpoint.path}", flush=True)
    validation = evaluate(predict, images, labels)
    show("Validation digits", validation)
    files = {
        "history.csv": history_csv([checkpoint.record]),
        "confusion.png": figures.confusion_matrix(validation, "Validation digits"),
        "predictions.png": figures.prediction_grid(images, validation, "Validation digits"),
        "digits.png": figures.sample_digits(images, labels),
    }
    document: dict[str, Any] = {
        "checkpoint": checkpoint.path,
        "validation": figures_of(validation),
        "photos": None,
        "pages": None,
        "not_digits": None,
        "run_dir": str(run_dir),
    }
    details = {"validation": details_of(validation), "photos": None, "comparison": None}
    readings = []
    if photos:
        path = "resized" if settings.resize else "prepared"
        seen, of_photos = photos.predictions(predict, resize=settings.resize)
        show(f"Photos, {path}", of_photos)
        document["photos"] = {**figures_of(of_photos), "path": path}
        details["photos"] = details_of(of_photos)
        readings = readings_of(photos, seen, of_photos)
        files["photos.csv"] = predictions_csv(photos.names, of_photos)
        files["confusion-photos.png"] = figures.confusion_matrix(of_photos, "Photos")
        files["predictions-photos.png"] = figures.prediction_grid(seen, of_photos, "Photos")
    if pages or without_digits:
        of_pages, more_files, _ = read_pages(Reader.load(), pages, without_digits)
        document |= of_pages
        files |= more_files
    if settings.report:
        cluster.connect()
        inverted = checkpoint.record["data"]["inverted_copies"]
        originals = (images[::2], labels[::2]) if inverted else (images, labels)
        count = settings.photos_per_level
        comparison = study.gather(
            compared, (images, labels), originals, photos and photos.by_path(), photos_per_level=count
        )
        study.show(comparison)
        pictures = comparison_pictures(comparison)
        files |= {f"{name}.png": picture for name, picture in pictures.items()}
        facts = study.facts_of(checkpoint, comparison, count, len(originals[1]))
        files["report.html"] = report_html(
            "Which photos of digits are read, and why", facts, comparison, pictures, readings
        )
        details["comparison"] = comparison.to_dict()
        judged = next(one.name for one in compared if checkpoint in one.checkpoints)
        document |= study.figures_of(comparison, judged)
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
