"""From a trained network's epochs to its finished checkpoint: the best epoch, judged and calibrated."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from digits.evaluation.metrics import LabelledPredictions, evaluate
from digits.models import checkpoints
from digits.models.calibration import UsualEnergy, fit_temperature, held_out_calibration_error
from digits.models.checkpoints import Checkpoint
from digits.models.inference import build_classifier, built, softmax
from digits.storage import Storage
from digits.training import runs
from digits.training.runs import Network
from digits.training.state import EpochResult


@dataclass(frozen=True, kw_only=True)
class FinishedNetwork:
    """A finished checkpoint and its calibrated predictions for the validation digits."""

    checkpoint: Checkpoint
    predictions: LabelledPredictions

    @property
    def score(self) -> float:
        """What the best checkpoint is chosen by: the photo score of its epoch."""
        return EpochResult(**self.checkpoint.record["metrics"]).photo_score


def finish(
    run_dir: Storage, network: Network, images: np.ndarray, labels: np.ndarray, sources: Mapping[str, int]
) -> FinishedNetwork:
    """Write the finished checkpoint of a network: its best epoch, calibrated and judged on the validation digits.

    `images` uint8 (N, 28, 28) and `labels` int (N,), each digit followed by its inverted copy where the data have them,
    come from the `sources` in turn, so many originals of each; of several, the record has the accuracy of each.
    The calibration error is that of temperatures fitted on other digits; the epoch was chosen on all of them. The
    record keeps the figures of every epoch as training saw them (before calibration, which changes the loss but no
    answer).
    """
    best = runs.best_epoch(run_dir, network)
    logits = evaluate(build_classifier(best).logits, images, labels).probabilities
    temperature = fit_temperature(logits, labels)
    probabilities = softmax(logits / np.float64(temperature)).astype(np.float32)
    predictions = LabelledPredictions(probabilities=probabilities, labels=labels)
    last = next(runs.readable_epochs(run_dir, network))
    record = {
        **best.record,
        "name": network.name,
        "history": last.record["history"],
        "calibration": {
            "temperature": temperature,
            "expected_calibration_error": held_out_calibration_error(
                logits, labels, halves_of(len(labels), best.record)
            ),
            "energy": asdict(UsualEnergy.of(logits / temperature)),
        },
        "validation": {
            "accuracy": predictions.accuracy,
            "loss": predictions.loss,
            "images": len(labels),
            **({"sources": accuracy_by_source(predictions, sources)} if len(sources) > 1 else {}),
        },
    }
    folder = run_dir / network.name
    graphs = built(best.architecture, best.weights)
    keras_model = runs.read_keras_file(best)
    checkpoints.write(folder, weights=best.weights, record=record, keras_model=keras_model, graphs=graphs)
    return FinishedNetwork(checkpoint=checkpoints.load(folder), predictions=predictions)


def accuracy_by_source(predictions: LabelledPredictions, sources: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    """Accuracy and images of each source, whose digits follow each other, so many originals of each.

    The accuracy of a source that has none is None.
    """
    right = predictions.answers == predictions.labels
    copies = len(right) // max(sum(sources.values()), 1)
    found: dict[str, dict[str, Any]] = {}
    start = 0
    for name, count in sources.items():
        part = right[start : start + count * copies]
        start += len(part)
        found[name] = {"accuracy": float(part.mean()) if len(part) else None, "images": len(part)}
    return found


def halves_of(num_images: int, record: dict[str, Any]) -> np.ndarray:
    """Which validation images are in the first of two halves, by the seed of the split: bool (N,).

    A digit and its inverted copy are in the same one.
    """
    copies = 2 if record["data"]["inverted_copies"] else 1
    order = np.random.default_rng(record["data"]["split_seed"]).permutation(num_images // copies)
    return np.repeat(order < num_images // copies // 2, copies)
