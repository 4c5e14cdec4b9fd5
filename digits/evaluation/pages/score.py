"""How well pages are read: digits in reading order against the truth, and pages without digits that were answered."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from digits.evaluation.pages.sheets import PageConditions
from digits.evaluation.pages.simulated import CONDITIONS, simulated_page
from digits.evaluation.pages.without_digits import WITHOUT_DIGITS, page_without_digits

T = TypeVar("T")
ReadLines = Callable[[np.ndarray], list[str]]
"""uint8 (H, W, 3) -> the digits of each line that is read, without spaces; no line where the picture is refused."""


def edit_distance(read: str, truth: str) -> int:
    """Fewest insertions, deletions and substitutions that turn one into the other (Levenshtein, 1966)."""
    row = list(range(len(truth) + 1))
    for i, one in enumerate(read, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(truth, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (one != other))
    return row[-1]


@dataclass(frozen=True, kw_only=True)
class PageScore:
    """Counts over pages."""

    images: int
    exact: int
    """Pages of which every digit is right and in its place."""
    lines_exact: int
    """Pages of which the division into lines is right too."""
    digits: int
    """Digits that are written on them."""
    edit_distance: int

    @classmethod
    def of(cls, read: Sequence[Sequence[str]], truth: Sequence[Sequence[str]]) -> "PageScore":
        """Of the lines that were read on each page and those that are written on it."""
        pairs = [("".join(a), "".join(b)) for a, b in zip(read, truth, strict=True)]
        return cls(
            images=len(pairs),
            exact=sum(a == b for a, b in pairs),
            lines_exact=sum(list(a) == list(b) for a, b in zip(read, truth, strict=True)),
            digits=sum(len(b) for _, b in pairs),
            edit_distance=sum(edit_distance(a, b) for a, b in pairs),
        )

    @property
    def character_error_rate(self) -> float:
        """Edit distance over digits; more than 1 is possible where much is read that is not there."""
        return self.edit_distance / max(1, self.digits)

    def to_dict(self) -> dict[str, float]:
        """As jobs print it: counts are counts, the rest fractions."""
        images = max(1, self.images)
        return {
            "images": self.images,
            "exact": self.exact / images,
            "lines_exact": self.lines_exact / images,
            "digits": self.digits,
            "edit_distance": self.edit_distance,
            "character_error_rate": self.character_error_rate,
        }


@dataclass(frozen=True, kw_only=True)
class SimulatedScore:
    """How simulated pages are read, by condition, and how many of those without digits are answered, by kind."""

    by_condition: dict[str, PageScore]
    answered: dict[str, int]
    pages_without_digits: int
    """Of each kind."""

    @property
    def character_error_rate(self) -> float:
        """Of all conditions, each weighing the same however many digits its pages have; at most 1 for each."""
        return float(np.mean([min(1.0, score.character_error_rate) for score in self.by_condition.values()]))

    @property
    def exact(self) -> float:
        """Fraction of all pages that are read exactly."""
        scores = self.by_condition.values()
        return sum(score.exact for score in scores) / sum(score.images for score in scores)

    @property
    def answered_fraction(self) -> float:
        """Fraction of the pages without digits that are answered."""
        return sum(self.answered.values()) / max(1, self.pages_without_digits * len(self.answered))


def score_simulated(
    read: ReadLines, digits: np.ndarray, labels: np.ndarray, *, pages: int, seed: int, threads: int = 1
) -> SimulatedScore:
    """Read `pages` simulated pages of each condition and of each kind without digits, on so many threads.

    `digits` uint8 (N, 28, 28), light ink on black, with integer labels (N,), are written on them. `read` must bear
    being called from several threads.
    """

    def read_page(job: tuple[int, int, PageConditions]) -> tuple[list[str], tuple[str, ...]]:
        place, number, conditions = job
        page = simulated_page(digits, labels, np.random.default_rng((seed, place, number)), conditions)
        return read(page.picture), page.lines

    def is_answered(job: tuple[int, int, str]) -> bool:
        place, number, kind = job
        return bool(read(page_without_digits(kind, np.random.default_rng((seed, 1000 + place, number)))))

    def jobs(kinds: Iterable[T]) -> list[tuple[int, int, T]]:
        return [(place, number, kind) for place, kind in enumerate(kinds) for number in range(pages)]

    # Each list is waited for before the next is begun, so that an interruption leaves nothing queued.
    with ThreadPoolExecutor(threads) as pool:
        lines = list(pool.map(read_page, jobs(CONDITIONS.values())))
        answered = list(pool.map(is_answered, jobs(WITHOUT_DIGITS)))
    return SimulatedScore(
        by_condition={
            name: PageScore.of(*zip(*lines[place * pages :][:pages], strict=True))
            for place, name in enumerate(CONDITIONS)
        },
        answered={kind: sum(answered[place * pages :][:pages]) for place, kind in enumerate(WITHOUT_DIGITS)},
        pages_without_digits=pages,
    )
