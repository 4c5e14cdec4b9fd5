"""What a network's predictions are worth: probabilities, labels, and the figures that follow from them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from digits.config import NUM_CLASSES

Predict = Callable[[np.ndarray], np.ndarray]
"""From images uint8 (N, 28, 28), or (N, 28, 28, 3) in colour, to probabilities float32 (N, 10)."""
NO_ANSWER = -1
"""Answer to a photo in which no digit was found: always wrong."""


@dataclass(frozen=True, kw_only=True)
class LabelledPredictions:
    """Probabilities float32 (N, 10) and true labels int64 (N,); a row of zeros means that no digit was found."""

    probabilities: np.ndarray
    labels: np.ndarray

    @property
    def answers(self) -> np.ndarray:
        """The most probable digits, or NO_ANSWER: int64 (N,)."""
        return np.where(self.probabilities.any(axis=1), self.probabilities.argmax(axis=1), NO_ANSWER)

    @property
    def confidences(self) -> np.ndarray:
        """Probability of each answer: float32 (N,)."""
        return self.probabilities.max(axis=1)

    @property
    def accuracy(self) -> float:
        """Fraction of right answers."""
        return float((self.answers == self.labels).mean())

    @property
    def loss(self) -> float:
        """Mean cross-entropy in nats; where there is no answer, that of a guess."""
        likelihoods = self.probabilities[np.arange(len(self.labels)), self.labels]
        likelihoods = np.where(self.answers == NO_ANSWER, 1 / NUM_CLASSES, likelihoods)
        return float(-np.log(np.maximum(likelihoods.astype(np.float64), 1e-12)).mean())

    def confusion(self) -> np.ndarray:
        """Counts int64 (10, 10) of what was answered: row is the true digit, column the answer."""
        given = self.answers != NO_ANSWER
        cells = self.labels[given] * NUM_CLASSES + self.answers[given]
        counts = np.bincount(cells, minlength=NUM_CLASSES**2)
        return counts.reshape(NUM_CLASSES, NUM_CLASSES)

    def accuracy_by_digit(self) -> list[float | None]:
        """Fraction of right answers for each label; None for labels that did not occur."""
        hits = np.diag(self.confusion())
        totals = np.bincount(self.labels, minlength=NUM_CLASSES)
        return [float(hits[d] / totals[d]) if totals[d] else None for d in range(NUM_CLASSES)]

    def mistakes(self) -> np.ndarray:
        """Rows of the wrong answers, the most confident first: int64 (M,)."""
        wrong = np.flatnonzero(self.answers != self.labels)
        return wrong[np.argsort(-self.confidences[wrong], kind="stable")]


def evaluate(predict: Predict, images: np.ndarray, labels: np.ndarray) -> LabelledPredictions:
    """Predictions for images uint8 (N, 28, 28), or (N, 28, 28, 3) in colour, with their labels int (N,)."""
    return LabelledPredictions(probabilities=predict(images), labels=np.asarray(labels, np.int64))


def mean_and_deviation(values: np.ndarray | Sequence[float]) -> tuple[float, float | None]:
    """Mean and sample standard deviation of float (S,), one of each training; of a single one there is no deviation."""
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None


def show_mean(values: np.ndarray | Sequence[float], form: str) -> str:
    """Mean ± deviation as text; `form` is a format such as .2%, and a sign that it asks for is the mean's."""
    mean, deviation = mean_and_deviation(values)
    return f"{mean:{form}}" if deviation is None else f"{mean:{form}} ± {deviation:{form.removeprefix('+')}}"
