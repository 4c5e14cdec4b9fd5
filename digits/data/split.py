"""Which digits train and which validate.

Originals are split first and each side is inverted afterwards, so that no digit has its negative on the other side.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from digits.config import NUM_CLASSES, DataConfig
from digits.data.files import HELD_OUT_PREFIX, DigitFiles
from digits.data.mixture import TrainingRows
from digits.data.read import iterate_without_ray
from digits.errors import DataError
from digits.images import invert


@dataclass(frozen=True, kw_only=True, eq=False)
class Split:
    """The digits of one job: its files, and which of their originals train and which validate."""

    files: DigitFiles
    validates: np.ndarray
    """Which originals validate: bool (num_digits,)."""
    trains: np.ndarray
    """Which originals train: bool (num_digits,). Of several sources, none that looks like one that validates."""
    inverted_copies: bool
    """Whether each original has a colour-inverted copy on its own side."""
    weights: tuple[float, ...] | None = None
    """Shares of an epoch's training digits, one for each source; None: each digit once."""

    @classmethod
    def make(cls, files: DigitFiles, config: DataConfig) -> Self:
        """The split that a configuration describes, see `split_rows`; weights that it cannot have are a DataError."""
        validates = split_rows(files, config)
        trains = ~validates
        if len(files.sources) > 1:
            trains &= ~looks_like(files, validates, inverted_copies=config.inverted_copies)
            if not trains.any():
                raise DataError(
                    "no digit is left for the training side: each equals one that validates, in another source",
                    "sources whose digits are not all the same",
                    "name one of these sources alone",
                )
        split = cls(
            files=files,
            validates=validates,
            trains=trains,
            inverted_copies=config.inverted_copies,
            weights=config.weights,
        )
        if split.weights is not None:
            split.training()
        return split

    def training(self, most: int | None = None) -> TrainingRows:
        """The rows that are trained on, by their weights: all, or `most` of them, evenly spread."""
        if self.weights is None:
            return TrainingRows.once(np.flatnonzero(self.trains if most is None else evenly(self.trains, most)))
        sources = self.files.rows_of_sources()
        rows = [rows.start + np.flatnonzero(self.trains[rows]) for _, rows in sources]
        return TrainingRows.weighted(rows, self.weights, [name for name, _ in sources], most)


def split_rows(files: DigitFiles, config: DataConfig) -> np.ndarray:
    """Which originals validate, bool (num_digits,): a seeded sample stratified by label, or the held-out files.

    Each source is split as it is alone. The sample has round(num_digits x validation_fraction) rows, and every label
    has its share of it to within one row (largest remainders). Raises DataError if there is no training digit, or fewer
    than two validation digits.
    """
    if config.protocol == "literature":
        held_out = [Path(path).name.startswith(HELD_OUT_PREFIX) for path in files.paths]
        validates = np.repeat(held_out, [len(labels) for labels in files.labels])
    else:
        labels = np.concatenate(files.labels)
        validates = np.concatenate([sample(labels[rows], config) for _, rows in files.rows_of_sources()])
    # Each half of the validation digits is judged by what the other one calibrates.
    for side, size, least in (("training", np.sum(~validates), 1), ("validation", np.sum(validates), 2)):
        if size < least:
            raise DataError(
                f"{'one' if size else 'no'} digit is left for the {side} side ({files.num_digits} digits, protocol "
                f"{config.protocol})",
                f"at least one to train on and two to validate with; for literature, files {HELD_OUT_PREFIX}*, too",
                "give more digits, or use the protocol article",
            )
    return validates


def sample(labels: np.ndarray, config: DataConfig) -> np.ndarray:
    """Which digits of a source, given their labels (N,), validate under the article's protocol: bool (N,)."""
    rng = np.random.default_rng(config.split_seed)
    shares = np.array([np.count_nonzero(labels == label) for label in range(NUM_CLASSES)]) * config.validation_fraction
    counts = np.floor(shares).astype(int)
    counts[np.argsort(counts - shares, kind="stable")[: round(shares.sum()) - counts.sum()]] += 1
    validates = np.zeros(len(labels), bool)
    for label, count in enumerate(counts):
        validates[rng.permutation(np.flatnonzero(labels == label))[:count]] = True
    return validates


def looks_like(files: DigitFiles, side: np.ndarray, *, inverted_copies: bool) -> np.ndarray:
    """Which digits, bool (num_digits,), have the pixels of one on a side, bool (num_digits,); those on it have.

    With inverted copies those of its negative count, too. Pixels are compared by 64 bits of their BLAKE2b hash, so that
    few images are held at a time.
    """
    everything = np.ones(files.num_digits, bool)
    parts = (
        b"".join(_digest(image, inverted_copies=inverted_copies) for image in images)
        for images, _ in iterate_without_ray(files, everything)
    )
    hashes = np.frombuffer(b"".join(parts), np.uint64)
    return np.isin(hashes, hashes[side])


def _digest(image: np.ndarray, *, inverted_copies: bool) -> bytes:
    """Eight bytes that are the same for equal images uint8 (28, 28); with copies, for negatives of each other too."""
    pixels = image.tobytes()
    if inverted_copies:
        pixels = min(pixels, invert(image).tobytes())
    return hashlib.blake2b(pixels, digest_size=8).digest()


def evenly(side: np.ndarray, count: int) -> np.ndarray:
    """At most `count` originals of a side, bool (num_digits,), evenly spread over it."""
    rows = np.flatnonzero(side)
    chosen = np.zeros_like(side)
    chosen[rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)]] = True
    return chosen
