"""What jobs/evaluate.py does: judges a checkpoint on its validation digits and on a folder of labelled photos."""

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeVar

import tyro

from digits import cluster, stopping
from digits.commands import study
from digits.commands.console import show_table, write_files
from digits.commands.preparation import absolute, each_path
from digits.commands.reader.folders import read_pages, shown
from digits.commands.reports.training import show_sources
from digits.commands.seen_photos import SeenPhotos, labelled_at, read_photos, readings_of
from digits.commands.settings import StorageSettings
from digits.config import DataConfig, Paths
from digits.data.files import find_digits, named
from digits.data.read import read_without_ray
from digits.data.split import split_rows
from digits.default_storage import choose_storage
from digits.errors import require
from digits.evaluation.metrics import NO_ANSWER, LabelledPredictions, evaluate
from digits.evaluation.pages.folder import find_pages, find_pictures
from digits.evaluation.photo_folder import some_of
from digits.images import Digits
from digits.machine import usable_cores
from digits.models import checkpoints
from digits.models.checkpoints import Checkpoint
from digits.models.inference import Classifier
from digits.models.registry import find_best, has_best, short
from digits.reading.networks import Networks
from digits.reporting import figures
from digits.reporting.factor_figures import comparison_pictures
from digits.reporting.page import PageShown, PhotoReading, report_html
from digits.training.finish import accuracy_by_source
from digits.training.state import history_csv

Found = TypeVar("Found")


@dataclass(frozen=True, kw_only=True)
class EvaluateSettings(StorageSettings):
    """Judges a checkpoint: on the validation digits it never trained on, and on a folder of labelled photos.

    Writes report.html (which factor of a photo breaks which network, what each measure gives, every photo with its
    answer), metrics.json, history.csv, photos.csv and pictures into a run folder of the storage path.
    """

    checkpoint: str | None = None
    """Folder or URI of a checkpoint; left out, what would serve: the best of the storage path, or the shipped one."""
    photos: Path | None = None
    """Photos, labelled by labels.csv (columns file and label), by folders 0 to 9, or by how names begin; a photo of a
    filled sheet (jobs/make_sheet.py), or a folder of such."""
    pages: Path | None = None
    """Folder of pictures with several digits: labels.csv with columns file and text, lines joined by |."""
    not_digits: Path | None = None
    """Folder of pictures that show no digit; the job counts how many are answered all the same."""
    resize: bool = False
    """Shrink whole photos to 28x28, as the article did, instead of finding paper and ink in them."""
    compare: tuple[str, ...] = ()
    """Further checkpoints, or runs with all their checkpoints, that the report sets beside this one."""
    report: bool = True
    """Whether to simulate photos, corrupt digits and write report.html: about two minutes on two cores."""
    photos_per_level: int = 60
    """Simulated photos for each level of each factor in the report."""
    data: Annotated[Paths, tyro.conf.arg(metavar="[STR [STR ...]]")] = None
    """Folders or buckets of the digits it was trained and validated on; left out, those that the checkpoint names."""


def read_validation_digits(checkpoint: Checkpoint, path: Paths) -> tuple[Digits, dict[str, int]]:
    """The digits that a checkpoint was validated on, uint8 (N, 28, 28) and int64 (N,), and originals of each source.

    Refuses data that differ from those it was trained on: its training digits could be among them.
    """
    record = dict(checkpoint.record["data"])
    fingerprint = record.pop("fingerprint")
    config = DataConfig(**{**record, "path": path or record["path"]})
    files = find_digits(config.path)
    require(
        files.fingerprint == fingerprint,
        f"{named(config.path)} has other digits than {checkpoint.name} was trained on",
        f"data with the fingerprint {short(fingerprint)}",
        "name the folder of its training data with --data, or several in the order that it was trained with",
    )
    validates = split_rows(files, config)
    digits = read_without_ray(files, validates, inverted_copies=config.inverted_copies)
    return digits, files.of_sources(validates)


def figures_of(predictions: LabelledPredictions) -> dict[str, Any]:
    """The figures of predictions for the JSON document."""
    return {"accuracy": predictions.accuracy, "loss": predictions.loss, "images": len(predictions.labels)}


def show(title: str, predictions: LabelledPredictions) -> None:
    """Print accuracy, loss and the accuracy of each digit."""
    by_digit = ["-" if value is None else f"{value:.1%}" for value in predictions.accuracy_by_digit()]
    show_table(
        title,
        ["accuracy", "loss", "images", *map(str, range(10))],
        [[f"{predictions.accuracy:.2%}", f"{predictions.loss:.4f}", f"{len(predictions.labels):,}", *by_digit]],
    )


def predictions_csv(names: list[str], predictions: LabelledPredictions) -> bytes:
    """One row for each picture: file, label, answer, confidence, and ten probabilities."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(["file", "label", "answer", "confidence", *(f"p{digit}" for digit in range(10))])
    for row in zip(
        names, predictions.labels, predictions.answers, predictions.confidences, predictions.probabilities, strict=True
    ):
        writer.writerow([*row[:3], f"{row[3]:.6f}", *(f"{p:.6f}" for p in row[4])])
    return buffer.getvalue().encode()


@dataclass(kw_only=True)
class Findings:
    """What an evaluation found so far."""

    document: dict[str, Any]
    """The job's JSON document."""
    details: dict[str, Any] = field(default_factory=lambda: {"validation": None, "photos": None, "comparison": None})
    """What metrics.json holds beside it."""
    files: dict[str, bytes] = field(default_factory=dict)
    """What is written into the run folder, by name."""
    readings: list[PhotoReading] = field(default_factory=list)
    """The report's table of photos."""
    pages: list[PageShown] = field(default_factory=list)
    """The report's pages."""

    def add_validation(
        self, digits: Digits, predictions: LabelledPredictions, sources: dict[str, int], *, inverted_copies: bool
    ) -> None:
        """Show and keep what the network answered to the validation digits, and to those of each of several sources."""
        title = "Validation digits"
        show(title, predictions)
        self.document["validation"] = figures_of(predictions)
        if len(sources) > 1:
            found = accuracy_by_source(predictions, sources)
            self.document["validation"]["sources"] = found
            show_sources({"accuracy": found})
        self.details["validation"] = details_of(predictions)
        self.files |= {
            "confusion.png": figures.confusion_matrix(predictions, title),
            "predictions.png": figures.prediction_grid(digits[0], predictions, title),
            "digits.png": figures.sample_digits(*digits, inverted_copies=inverted_copies),
        }

    def add_photos(self, photos: SeenPhotos, network: Classifier, *, resize: bool) -> None:
        """Let the network read a folder of photos; show and keep its answers."""
        path = "resized" if resize else "prepared"
        seen, predictions = photos.predictions(network, resize=resize)
        show(f"Photos, {path}", predictions)
        refused = int((predictions.answers == NO_ANSWER).sum())
        print(f"{refused} of {len(photos.names)} photos are refused, which counts as wrong", flush=True)
        self.document["photos"] = {**figures_of(predictions), "path": path, "refused": refused}
        self.details["photos"] = details_of(predictions)
        self.readings = readings_of(photos, seen, predictions)
        self.files |= {
            "photos.csv": predictions_csv(photos.names, predictions),
            "confusion-photos.png": figures.confusion_matrix(predictions, "Photos"),
            "predictions-photos.png": figures.prediction_grid(seen, predictions, "Photos"),
        }

    def add_comparison(
        self,
        judged: Checkpoint,
        compared: Sequence[study.Compared],
        digits: Digits,
        photos: SeenPhotos | None,
        photos_per_level: int,
    ) -> None:
        """Simulate, corrupt and compare on Ray; show the result and keep the report."""
        images, labels = digits
        originals = (images[::2], labels[::2]) if judged.record["data"]["inverted_copies"] else digits
        by_path = photos.by_path() if photos else None
        comparison = study.gather(compared, digits, originals, by_path, photos_per_level=photos_per_level)
        study.show(comparison)
        pictures = comparison_pictures(comparison)
        facts = study.facts_of(judged, comparison, photos_per_level, len(originals[1]))
        title = "Which photos of digits are read, and why"
        self.files |= {f"{name}.png": picture for name, picture in pictures.items()}
        self.files["report.html"] = report_html(title, facts, comparison, pictures, self.readings, self.pages)
        self.details["comparison"] = comparison.to_dict()
        self.document |= study.figures_of(comparison, next(one.name for one in compared if judged in one.checkpoints))


def evaluate_checkpoint(settings: EvaluateSettings) -> dict[str, Any]:
    """Judge what the command line names; returns the job's JSON document."""
    require(
        settings.photos_per_level >= 1,
        f"photos per level = {settings.photos_per_level}",
        "at least 1",
        "use 60, or --no-report to do without them",
    )
    storage = choose_storage(settings.storage_path, holds=None if settings.checkpoint else has_best)
    found = labelled_at(settings.photos) if settings.photos else []
    pages = find_pages(settings.pages) if settings.pages else []
    without_digits = found_in(settings.not_digits, find_pictures) if settings.not_digits else []
    networks = Networks.of(checkpoints.load(settings.checkpoint or find_best(storage)), threads=usable_cores())
    checkpoint = networks.checkpoint
    compared = study.load_compared(checkpoint, settings.compare)
    digits, sources = read_validation_digits(checkpoint, each_path(settings.data, absolute))
    photos = read_photos(folder_of(settings.photos), found, networks.reader) if settings.photos else None
    storage.check_writable()

    run_dir = storage.new_folder(f"evaluate-{checkpoint.name}")
    stopping.reached(lambda: "before the evaluation was written; start it again")
    network = f"{checkpoint.name}: {checkpoint.record['parameters']:,} parameters"
    print(f"{network}, from {checkpoint.path} | evaluation {run_dir}", flush=True)
    kinds = dict.fromkeys(("validation", "photos", "pages", "not_digits"))
    document = {"checkpoint": checkpoint.path, **kinds, "run_dir": str(run_dir)}
    findings = Findings(document=document, files={"history.csv": history_csv([checkpoint.record])})
    copies = checkpoint.record["data"]["inverted_copies"]
    findings.add_validation(
        digits, evaluate(networks.classifier.probabilities, *digits), sources, inverted_copies=copies
    )
    if photos:
        findings.add_photos(photos, networks.classifier, resize=settings.resize)
    if pages or without_digits:
        of_pages, files, readings = read_pages(networks, pages, without_digits)
        findings.document |= of_pages
        findings.files |= files
        if settings.report:
            findings.pages = [shown(page, one) for page, one in zip(pages, readings, strict=True)]
    if settings.report:
        cluster.connect()
        findings.add_comparison(checkpoint, compared, digits, photos, settings.photos_per_level)
    metrics = {**findings.document, "details": findings.details}
    findings.files["metrics.json"] = json.dumps(metrics, indent=1).encode()
    write_files(run_dir, findings.files)
    print(f"written to {run_dir}: {', '.join(findings.files)}")
    return findings.document


def folder_of(path: Path) -> Path:
    """A folder, or the one in which a file lies."""
    return path if path.is_dir() else path.parent


def found_in(folder: Path, find: Callable[[Path], tuple[list[Found], list[Path]]]) -> list[Found]:
    """What is found in a folder; a line names the files there that are left out."""
    found, stray = find(folder)
    if stray:
        print(f"left out of {folder}, no pictures or without a label: {some_of(folder, stray)}", flush=True)
    return found


def details_of(predictions: LabelledPredictions) -> dict[str, Any]:
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
