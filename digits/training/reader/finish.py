"""From trained epochs to a reader: simulated pages judge the epochs and choose thresholds, and the best is exported.

The pages are those of `digits.evaluation.pages`, written with MNIST digits that training's pages never show.
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from typing import Any, Self

import numpy as np

from digits import __version__
from digits.config import DataConfig
from digits.data.files import DigitFiles
from digits.data.read import read_without_ray
from digits.data.split import split_rows
from digits.errors import NotADigit
from digits.evaluation.pages.score import SimulatedScore, edit_distance, score_simulated
from digits.evaluation.pages.sheets import PageConditions
from digits.evaluation.pages.simulated import CONDITIONS, SimulatedPage, simulated_page
from digits.evaluation.pages.without_digits import WITHOUT_DIGITS, page_without_digits
from digits.machine import usable_cores
from digits.models.calibration import calibration_gap
from digits.models.page_onnx import onnx_file
from digits.models.page_targets import PageArchitecture
from digits.reading.confidence import Confidence
from digits.reading.detect import Detector
from digits.reading.lines import lines_of
from digits.reading.merge import Found, Thresholds, likely
from digits.reading.reader import Reader, box_in, grey_of, write_reader
from digits.storage import Storage
from digits.training.reader import run as runs
from digits.training.reader.run import PageEpoch, PageRun
from digits.training.reader.squares import TRAINING_DIGITS

PACKAGES = ("ray", "tensorflow", "keras", "numpy", "onnx", "onnxruntime", "opencv-python-headless")
EPOCH_PAGES, THRESHOLD_PAGES, FINAL_PAGES = 4, 10, 5
"""Simulated pages of each condition: to judge an epoch, to choose thresholds, and to report at the end."""
SINGLES, NOTHING = 200, 40
"""Pictures of one digit, and of each kind without digits, that choose thresholds beside pages.

Those of one digit have the same weight as the pages: people send about as many.
"""
EPOCH_SEED, THRESHOLD_SEED, FINAL_SEED = 1, 2, 3
SURE = 0.9
"""Confidence above which people take an answer for granted."""
USUAL = Thresholds(digit=0.1, relative=0.3, alike=1.7, page=0.5, faint=0.35)
"""The shipped reader's, nearly: an epoch is judged with them, and the choice of a reader's own begins there."""
ANSWER_COST = 0.5
"""The error rate that an answer to a page without digits counts as."""


def judging_digits(files: DigitFiles) -> tuple[np.ndarray, np.ndarray]:
    """The last 10,000 of MNIST's training originals: uint8 (N, 28, 28) and int64 (N,)."""
    originals = np.flatnonzero(~split_rows(files, DataConfig(protocol="literature")))[TRAINING_DIGITS:]
    chosen = np.zeros(files.num_digits, bool)
    chosen[originals] = True
    return read_without_ray(files, chosen, inverted_copies=False)


def lines_read(reader: Reader, picture: np.ndarray) -> list[str]:
    """The digits of each line of a picture; no lines where it is refused."""
    try:
        return reader.read(picture).text.replace(" ", "").splitlines()
    except NotADigit:
        return []


def judge(
    architecture: PageArchitecture,
    weights: dict[str, np.ndarray],
    digits: tuple[np.ndarray, np.ndarray],
    *,
    pages: int = EPOCH_PAGES,
    seed: int = EPOCH_SEED,
    thresholds: Thresholds = USUAL,
) -> SimulatedScore:
    """How a network reads simulated pages."""
    reader = Reader(detector=Detector(onnx_file(architecture, weights)), thresholds=thresholds, record={})
    return score_simulated(
        lambda picture: lines_read(reader, picture), *digits, pages=pages, seed=seed, threads=usable_cores()
    )


@dataclass(kw_only=True, eq=False)
class LookedAt:
    """Simulated pictures of one seed, and all that may be digits in them."""

    pages: list[tuple[SimulatedPage, list[Found], int]]
    """Pages of each condition, what was found on them, and by how many quarter turns they were turned."""
    singles: list[tuple[SimulatedPage, list[Found], int]]
    """The same for pictures of one digit."""
    nothing: list[list[Found]]
    """What was found on pages without digits."""

    @classmethod
    def by(cls, detector: Detector, digits: tuple[np.ndarray, np.ndarray], seed: int) -> Self:
        """What a network finds in pictures of a seed."""
        reader = Reader(detector=detector, thresholds=USUAL, record={})

        def looked(job: tuple[int, int, PageConditions]) -> tuple[SimulatedPage, list[Found], int]:
            place, number, conditions = job
            page = simulated_page(*digits, np.random.default_rng((seed, place, number)), conditions)
            return page, *reader.find(grey_of(page.picture))

        def found(job: tuple[int, int, str]) -> list[Found]:
            place, number, kind = job
            picture = page_without_digits(kind, np.random.default_rng((seed, place, number)))
            return reader.find(grey_of(picture))[0]

        conditions = list(enumerate(CONDITIONS.values()))
        pages = [(place, number, each) for number in range(THRESHOLD_PAGES) for place, each in conditions]
        singles = [(2000, number, CONDITIONS["one digit"]) for number in range(SINGLES)]
        nothing = [
            (1000 + place, number, kind) for number in range(NOTHING) for place, kind in enumerate(WITHOUT_DIGITS)
        ]
        with ThreadPoolExecutor(usable_cores()) as pool:
            return cls(
                pages=list(pool.map(looked, pages)),
                singles=list(pool.map(looked, singles)),
                nothing=list(pool.map(found, nothing)),
            )

    def error_rate(self, thresholds: Thresholds) -> float:
        """Of pages and of single digits, with the same weight; answers to pages without digits cost too."""
        rates = [
            min(1.0, edit_distance(text_of(found, thresholds), page.digits) / max(1, len(page.digits)))
            for page, found, _ in (*self.pages, *self.singles)
        ]
        errors = (np.mean(rates[: len(self.pages)]) + np.mean(rates[len(self.pages) :])) / 2
        return float(errors + ANSWER_COST * np.mean([bool(likely(found, thresholds)) for found in self.nothing]))

    def answers(self, thresholds: Thresholds) -> tuple[np.ndarray, np.ndarray]:
        """What is said of each digit that is answered, float (N,), and whether it is right, bool (N,)."""
        said, right = [], []
        for page, found, turn in (*self.pages, *self.singles):
            shape = grey_of(page.picture).shape
            for one in likely(found, thresholds):
                left, top, width, height = box_in(one, turn, shape, page.picture.shape[1::-1])
                said.append(one.confidence)
                right.append(digit_at(page, left + width / 2, top + height / 2) == one.digit)
        return np.array(said), np.array(right, bool)


def text_of(found: list[Found], thresholds: Thresholds) -> str:
    """The digits that are answered, in reading order."""
    return "".join(str(one.digit) for line in lines_of(likely(found, thresholds)) for one in line)


def digit_at(page: SimulatedPage, x: float, y: float) -> int | None:
    """Which digit is written around a point of a page, in pixels; None where none is."""
    for (left, top, width, height), digit in zip(page.boxes, page.digits, strict=True):
        side = max(width, height)
        if abs(left + width / 2 - x) < 0.4 * side and abs(top + height / 2 - y) < 0.4 * side:
            return int(digit)
    return None


def choose_thresholds(looked: LookedAt) -> Thresholds:
    """The thresholds with the fewest errors on simulated pages; answers to pages without digits count too."""
    best = USUAL
    for _ in range(2):
        for name, values in _TRIED.items():
            best = min((replace(best, **{name: value}) for value in values), key=looked.error_rate)
    return best


_TRIED: dict[str, Iterable[float]] = {
    "page": (0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7),
    "digit": (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45),
    "relative": (0.2, 0.3, 0.4, 0.5, 0.6, 0.7),
    "alike": (1.7, 2.0, 2.5, 3.2, 4.0, 10.0),
    "faint": (0.0, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5),
}
"""Values of each threshold that are tried, one threshold after another."""


def finish(run: PageRun, run_dir: Storage, files: DigitFiles) -> dict[str, Any]:
    """Make the best epoch a reader, RUN/reader; returns its record, which has the figures of every epoch."""
    state = runs.best_epoch(run_dir)
    last = runs.last_state(run_dir, on_damage=lambda error: None)  # the workers have told of it
    assert last is not None, "one epoch at least can be read"
    digits = judging_digits(files)
    architecture = PageArchitecture(**run.architecture)
    network = onnx_file(architecture, state.mean)
    looked = LookedAt.by(Detector(network), digits, THRESHOLD_SEED)
    thresholds = choose_thresholds(looked)
    confidence = Confidence.fit(*looked.answers(thresholds))
    score = judge(architecture, state.mean, digits, pages=FINAL_PAGES, seed=FINAL_SEED, thresholds=thresholds)
    record = record_of(run, len(state.history), last.history, score)
    # Judged on other pages than those it was fitted on.
    said, right = LookedAt.by(Detector(network), digits, FINAL_SEED).answers(thresholds)
    record["confidence_on_simulated_pages"] = confidence_of(np.array([confidence(one) for one in said]), right)
    write_reader(run_dir / "reader", network, thresholds, confidence, record)
    return record


def confidence_of(confidences: np.ndarray, right: np.ndarray) -> dict[str, float | None]:
    """How well confidences, float (N,), hold for digits that were right, bool (N,); None for a mean of no digit."""
    sure = confidences > SURE
    return {
        "digits": len(right),
        "right": float(np.mean(right)) if len(right) else None,
        "expected_calibration_error": calibration_gap(confidences, right) if len(right) else None,
        "over_0.9": float(np.mean(sure)) if len(right) else None,
        "right_over_0.9": float(np.mean(right[sure])) if sure.any() else None,
    }


def record_of(run: PageRun, best: int, history: tuple[PageEpoch, ...], score: SimulatedScore) -> dict[str, Any]:
    """How a reader was made, of which epoch, from 1, and what it scored."""
    return {
        "name": f"reader-seed{run.training.seed}-epoch{best:03d}",
        "epoch": best,
        "architecture": run.architecture,
        "training": asdict(run.training),
        "fingerprint": run.fingerprint,
        "simulated_pages": {
            "pages_of_each_condition": FINAL_PAGES,
            "seed": FINAL_SEED,
            "character_error_rate": score.character_error_rate,
            "exact": score.exact,
            "answered_without_digits": score.answered_fraction,
            "by_condition": {name: one.to_dict() for name, one in score.by_condition.items()},
            "answered": score.answered,
        },
        "history": [asdict(epoch) for epoch in history],
        "versions": {"digits": __version__, **{name: version(name) for name in PACKAGES}},
    }
