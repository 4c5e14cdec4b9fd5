"""What is wrong with digits before anything is trained on them: polarity, repetitions, labels that look wrong."""

import functools
from dataclasses import dataclass

import numpy as np

from digits.errors import DataError
from digits.models import checkpoints
from digits.models.inference import Classifier, build_classifier
from digits.models.registry import SHIPPED

SURE = 0.99
"""Confidence of the shipped network from which another answer than the label is told."""
LOOKED_AT = 400
"""Digits that are looked at to see whether they lie transposed, as EMNIST's do."""


def dark_on_light(images: np.ndarray) -> np.ndarray:
    """bool (N,): whether the border of each of uint8 (N, 28, 28) is light."""
    border = np.concatenate([images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1]], axis=1)
    return border.mean(axis=1) >= 128


def repetitions(images: np.ndarray) -> list[np.ndarray]:
    """Rows of equal images of uint8 (N, 28, 28), for each that is there more than once, by their first row."""
    if len(images) < 2:
        return []
    flat = np.ascontiguousarray(images.reshape(len(images), -1))
    keys = flat.view(np.dtype((np.void, flat.shape[1]))).ravel()
    order = np.argsort(keys, kind="stable")
    groups = np.split(order, np.flatnonzero(keys[order][1:] != keys[order][:-1]) + 1)
    return sorted((np.sort(group) for group in groups if len(group) > 1), key=lambda group: int(group[0]))


@dataclass(frozen=True, kw_only=True, eq=False)
class Suspicions:
    """Digits that the shipped network reads otherwise, and is sure of it."""

    rows: np.ndarray
    """int64 (M,): the surest first."""
    answers: np.ndarray
    """int64 (M,)."""
    confidences: np.ndarray
    """float32 (M,)."""


@functools.cache
def shipped_classifier() -> Classifier:
    """The shipped digit network, on all cores, loaded once."""
    return build_classifier(checkpoints.load(str(SHIPPED)))


def suspicions(images: np.ndarray, labels: np.ndarray) -> Suspicions:
    """Labels int64 (N,) that look wrong for uint8 (N, 28, 28), light ink on black."""
    probabilities = shipped_classifier().probabilities(images)
    answers, sure = probabilities.argmax(1), probabilities.max(1)
    rows = np.flatnonzero((answers != labels) & (sure >= SURE))
    rows = rows[np.argsort(-sure[rows], kind="stable")]
    return Suspicions(rows=rows, answers=answers[rows], confidences=sure[rows])


def refuse_transposed(images: np.ndarray, labels: np.ndarray, file: str) -> None:
    """Raise DataError where a file's digits, at least one, are read far better with rows and columns exchanged."""
    rows = np.linspace(0, len(images) - 1, min(LOOKED_AT, len(images))).astype(int)
    classify = shipped_classifier().probabilities
    as_they_are, transposed = (
        float(np.mean(classify(np.ascontiguousarray(each)).argmax(1) == labels[rows]))
        for each in (images[rows], images[rows].transpose(0, 2, 1))
    )
    if as_they_are < 0.6 and transposed > as_they_are + 0.25:
        raise DataError(
            f"the digits of {file} lie transposed: {as_they_are:.0%} of a few are read as they are, "
            f"{transposed:.0%} with rows and columns exchanged",
            "upright digits",
            "add --transposed, as for EMNIST's files",
        )
