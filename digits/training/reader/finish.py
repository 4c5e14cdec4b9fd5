"""From trained epochs to a reader: simulated pages judge the epochs and choose thresholds, and the best is exported.

The pages are those of `digits.evaluation.pages`, written with MNIST digits that training's pages never show.
"""

from collections.abc import Iterable
from dataclasses import asdict, replace
from importlib.metadata import version
from typing import Any

import numpy as np

from digits import __version__
from digits.config import DataConfig
from digits.data.files import DigitFiles
from digits.data.read import read_without_ray
from digits.data.split import split_rows
from digits.errors import NotADigit
from digits.evaluation.pages.score import SimulatedScore, edit_distance, score_simulated
from digits.evaluation.pages.simulated import CONDITIONS, simulated_page
from digits.evaluation.pages.without_digits import WITHOUT_DIGITS, page_without_digits
from digits.models.page_onnx import onnx_file
from digits.models.page_targets import PageArchitecture
from digits.reading.detect import Detector
from digits.reading.lines import lines_of
from digits.reading.merge import Found, Thresholds, likely
from digits.reading.reader import Reader, grey_of, write_reader
from digits.storage import Storage
from digits.training.reader import run as runs
from digits.training.reader.run import PageRun, PageState
from digits.training.reader.squares import TRAINING_DIGITS

PACKAGES = ("ray", "tensorflow", "keras", "numpy", "onnx", "onnxruntime", "opencv-python-headless")
EPOCH_PAGES, THRESHOLD_PAGES, FINAL_PAGES = 2, 5, 5
"""Simulated pages of each condition: to judge an epoch, to choose thresholds, and to report at the end."""
SINGLES = 100
"""Pictures of one digit that choose thresholds beside pages, with the same weight: people send about as many."""
EPOCH_SEED, THRESHOLD_SEED, FINAL_SEED = 1, 2, 3
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
    thresholds: Thresholds | None = None,
) -> SimulatedScore:
    """How a network reads simulated pages."""
    reader = Reader(
        detector=Detector(onnx_file(architecture, weights)), thresholds=thresholds or Thresholds(), record={}
    )
    return score_simulated(lambda picture: lines_read(reader, picture), *digits, pages=pages, seed=seed)


def choose_thresholds(detector: Detector, digits: tuple[np.ndarray, np.ndarray]) -> Thresholds:
    """The thresholds with the fewest errors on simulated pages; answers to pages without digits count too."""
    reader = Reader(detector=detector, thresholds=Thresholds(), record={})
    written: list[tuple[list[Found], str]] = []
    nothing: list[list[Found]] = []
    for number in range(THRESHOLD_PAGES):
        for place, conditions in enumerate(CONDITIONS.values()):
            rng = np.random.default_rng((THRESHOLD_SEED, place, number))
            page = simulated_page(*digits, rng, conditions)
            written.append((reader.find(grey_of(page.picture))[0], page.digits))
        for place, kind in enumerate(WITHOUT_DIGITS):
            rng = np.random.default_rng((THRESHOLD_SEED, 1000 + place, number))
            nothing.append(reader.find(grey_of(page_without_digits(kind, rng)))[0])

    singles = []
    for number in range(SINGLES):
        page = simulated_page(*digits, np.random.default_rng((THRESHOLD_SEED, 2000, number)), CONDITIONS["one digit"])
        singles.append((reader.find(grey_of(page.picture))[0], page.digits))

    def wrong(pages: list[tuple[list[Found], str]], thresholds: Thresholds) -> float:
        rates = []
        for found, truth in pages:
            lines = lines_of(likely(found, thresholds))
            text = "".join(str(one.digit) for line in lines for one in line)
            rates.append(min(1.0, edit_distance(text, truth) / max(1, len(truth))))
        return float(np.mean(rates))

    def cost(thresholds: Thresholds) -> float:
        errors = (wrong(written, thresholds) + wrong(singles, thresholds)) / 2
        return errors + ANSWER_COST * float(np.mean([bool(likely(one, thresholds)) for one in nothing]))

    best = Thresholds()
    for _ in range(2):
        for name, values in _TRIED.items():
            best = min((replace(best, **{name: value}) for value in values), key=cost)
    return best


_TRIED: dict[str, Iterable[float]] = {
    "page": (0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7),
    "digit": (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45),
    "relative": (0.2, 0.3, 0.4, 0.5, 0.6, 0.7),
    "alike": (1.7, 2.0, 2.5, 3.2, 4.0, 10.0),
}
"""Values of each threshold that are tried, one threshold after another."""


def finish(run: PageRun, run_dir: Storage, files: DigitFiles) -> dict[str, Any]:
    """Make the best epoch a reader, RUN/reader; returns its record."""
    state = runs.best_epoch(run_dir)
    digits = judging_digits(files)
    architecture = PageArchitecture(**run.architecture)
    network = onnx_file(architecture, state.mean)
    thresholds = choose_thresholds(Detector(network), digits)
    score = judge(architecture, state.mean, digits, pages=FINAL_PAGES, seed=FINAL_SEED, thresholds=thresholds)
    record = record_of(run, state, score)
    write_reader(run_dir / "reader", network, thresholds, record)
    return record


def record_of(run: PageRun, state: PageState, score: SimulatedScore) -> dict[str, Any]:
    """How a reader was made and what it scored."""
    return {
        "name": f"reader-seed{run.training.seed}-epoch{len(state.history):03d}",
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
        "history": [asdict(epoch) for epoch in state.history],
        "versions": {"digits": __version__, **{name: version(name) for name in PACKAGES}},
    }
