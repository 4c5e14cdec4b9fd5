"""Which digits train and which validate.

Originals are split first and each side is inverted afterwards, so that no digit has its negative on the other side.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from digits.config import NUM_CLASSES, DataConfig
from digits.data.files import HELD_OUT_PREFIX, DigitFiles
from digits.errors import DataError


@dataclass(frozen=True, kw_only=True, eq=False)
class Split:
    """The digits of one job: its files, and which of their originals train and which validate."""

    files: DigitFiles
    validates: np.ndarray
    """Which originals validate: bool (num_digits,)."""
    inverted_copies: bool
    """Whether each original has a colour-inverted copy on its own side."""

    @classmethod
    def make(cls, files: DigitFiles, config: DataConfig) -> Self:
        """The split that a configuration describes, see `split_rows`."""
        return cls(files=files, validates=split_rows(files, config), inverted_copies=config.inverted_copies)

    @property
    def trains(self) -> np.ndarray:
        """Which originals train: bool (num_digits,)."""
        return ~self.validates


def split_rows(files: DigitFiles, config: DataConfig) -> np.ndarray:
    """Which originals validate, bool (num_digits,): a seeded sample stratified by label, or the held-out files.

    The sample has round(num_digits x validation_fraction) rows, and every label has its share of it to within one row
    (largest remainders). Raises DataError if there is no training digit, or fewer than two validation digits.
    """
    if config.protocol == "literature":
        held_out = [Path(path).name.startswith(HELD_OUT_PREFIX) for path in files.paths]
        validates = np.repeat(held_out, [len(labels) for labels in files.labels])
    else:
        labels = np.concatenate(files.labels)
        rng = np.random.default_rng(config.split_seed)
        shares = np.bincount(labels, minlength=NUM_CLASSES) * config.validation_fraction
        counts = np.floor(shares).astype(int)
        counts[np.argsort(counts - shares, kind="stable")[: round(shares.sum()) - counts.sum()]] += 1
        validates = np.zeros(len(labels), bool)
        for label, count in enumerate(counts):
            validates[rng.permutation(np.flatnonzero(labels == label))[:count]] = True
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


def rows_of_groups(side: np.ndarray, groups: range) -> np.ndarray:
    """Those originals of a side, bool (num_digits,), whose numbers within the side are in `groups`."""
    rows = np.zeros_like(side)
    rows[np.flatnonzero(side)[groups.start : groups.stop]] = True
    return rows


def evenly(side: np.ndarray, count: int) -> np.ndarray:
    """At most `count` originals of a side, bool (num_digits,), evenly spread over it."""
    rows = np.flatnonzero(side)
    chosen = np.zeros_like(side)
    chosen[rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)]] = True
    return chosen
