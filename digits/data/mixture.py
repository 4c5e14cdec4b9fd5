"""Which rows a training draws from, by the weights of their sources: small sources are repeated, large ones sampled.

An epoch shows as many digits as the sources with a weight have to train on, divided by the weights (largest
remainders). A source that has fewer than its share shows each one several times, equally often to within one. Of one
that has more, every epoch draws as many as the share has (`digits.data.batches.Columns.drawn`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from digits.data.batches import Columns, Stretch
from digits.errors import DataError
from digits.images import Digits


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingRows:
    """Rows of the originals to draw from, and how many of each source an epoch draws."""

    rows: np.ndarray
    """int64 (N,), ascending; one that is repeated stands there several times."""
    stretches: tuple[Stretch, ...]
    """Of each source in turn."""

    @classmethod
    def once(cls, rows: np.ndarray) -> Self:
        """Each of the rows (N,), ascending, once in every epoch."""
        return cls(rows=rows, stretches=(Stretch(drawn=len(rows), held=len(rows)),))

    @classmethod
    def weighted(
        cls, sources: Sequence[np.ndarray], weights: Sequence[float], names: Sequence[str], most: int | None
    ) -> Self:
        """Rows of each source by its weight: as many as there are, or `most` in the same ones in every epoch.

        DataError where a source with a weight has no row, or a weight too small for one.
        """
        total = sum(len(rows) for rows, weight in zip(sources, weights, strict=True) if weight)
        shares = shares_of(total if most is None else min(most, total), weights)
        kept, stretches = [], []
        for name, rows, weight, drawn in zip(names, sources, weights, shares, strict=True):
            if not weight:
                continue
            if not len(rows) or not drawn:
                raise DataError(
                    f"with a weight of {weight:g}, {drawn:,} of {len(rows):,} training digits of {name} are shown in "
                    "an epoch",
                    "at least one",
                    "give it a larger weight or more digits, or 0 to leave it out of training",
                )
            held = drawn if most is not None else max(drawn, len(rows))
            kept.append(rows[np.arange(held) * len(rows) // held])
            stretches.append(Stretch(drawn=drawn, held=held))
        return cls(rows=np.concatenate(kept), stretches=tuple(stretches))

    def columns(self, global_batch_size: int, *, inverted_copies: bool) -> Columns:
        """How the batches of an epoch are made of these rows."""
        return Columns.of_stretches(self.stretches, global_batch_size, inverted_copies=inverted_copies)

    def of_groups(self, groups: range) -> np.ndarray:
        """The rows of some groups of `columns`: int64 (len(groups),)."""
        return self.rows[groups.start : groups.stop]


def shares_of(total: int, weights: Sequence[float]) -> list[int]:
    """A whole number in parts by their weights, to within one each: largest remainders, the earlier of equals."""
    exact = np.array(weights, float) / max(weights)  # so that neither tiny nor huge ones leave the range of a float
    exact *= total / exact.sum()
    parts = np.floor(exact).astype(int)
    parts[np.argsort(parts - exact, kind="stable")[: total - parts.sum()]] += 1
    return [int(part) for part in parts]


def mask_of(rows: np.ndarray, num_digits: int) -> np.ndarray:
    """The rows as bool (num_digits,)."""
    mask = np.zeros(num_digits, bool)
    mask[rows] = True
    return mask


def repeated(digits: Digits, rows: np.ndarray, *, inverted_copies: bool) -> Digits:
    """Digits as they were read by `mask_of(rows)`, each as often as it stands among the rows, ascending.

    With `inverted_copies` each original is followed by its copy, before and after.
    """
    unique, places = np.unique(rows, return_inverse=True)
    if len(unique) == len(rows):
        return digits
    if inverted_copies:
        places = np.stack([2 * places, 2 * places + 1], axis=1).ravel()
    return digits[0][places], digits[1][places]
