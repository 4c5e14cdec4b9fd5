"""Reading pages: the shipped networks beside Tesseract and rapidocr, on simulated pages and on a folder of real ones.

Each reader gets the same files. Errors are counted over all digits, and the time is that of reading, decoding included.
A reader that is not installed is left out with a word (make peers).
"""

import shutil
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np

from digits.benchmarks.measuring import ROOT, Figure, FinishedProcess, Results, Scope, alternate, run_process, run_side
from digits.config import DataConfig
from digits.data.files import find_digits
from digits.data.read import read_without_ray
from digits.data.split import split_rows
from digits.evaluation.pages.folder import find_pages
from digits.evaluation.pages.score import PageScore
from digits.evaluation.pages.simulated import CONDITIONS, simulated_page
from digits.images import encode_png

PYTHON = ROOT / ".venv-peers" / "bin" / "python"
"""Of the environment that make peers makes."""
PROGRAM = ROOT / "digits" / "benchmarks" / "peers" / "read_pages.py"
LEAST = 0.05
"""What no error counts as, in %, so that a ratio can be taken: half a digit in a thousand."""
PAGES = 2
"""Simulated pages of each condition."""
SEED = 5
"""Of the simulated pages: no threshold was chosen on them."""


def measure(scope: Scope, results: Results) -> None:
    """Compare errors and seconds on simulated pages, and on the pages of `scope.pages`."""
    folders = {"simulated pages": simulated_folder(scope.folder / "pages")}
    if scope.pages is not None:
        folders["your pages"] = scope.pages
    rivals = installed()
    for what, folder in folders.items():
        truth = {page.path.name: "".join(page.lines) for page in find_pages(folder)}
        sides = {"ours": lambda turn, folder=folder: run_side("digits.benchmarks.sides.read_pages", folder)}
        sides |= {name: partial(run_rival, command, folder) for name, command in rivals.items()}
        turns = alternate(sides, scope.repeats)
        rates = {name: [error_rate(done, truth) for done in turns[name]] for name in turns}
        results.details[f"errors on {what}, %"] = {name: 100 * values[0] for name, values in rates.items()}
        for name in rivals:
            results.figures += figures_against(name, what, rates, turns)


def figures_against(
    name: str, what: str, rates: Mapping[str, list[float]], turns: Mapping[str, list[FinishedProcess]]
) -> list[Figure]:
    """Errors and time beside one rival."""
    seconds = {side: [done.document["seconds"] for done in turns[side]] for side in ("ours", name)}
    return [
        Figure(
            part="reading",
            what=f"errors, {what}",
            unit="% of the digits",
            against=name,
            ours=[max(LEAST, 100 * rate) for rate in rates["ours"]],
            theirs=[max(LEAST, 100 * rate) for rate in rates[name]],
            better="lower",
            aim=1.0,
        ),
        Figure(
            part="reading",
            what=f"time, {what}",
            unit="s",
            against=name,
            ours=seconds["ours"],
            theirs=seconds[name],
            better="lower",
        ),
    ]


def installed() -> dict[str, list[str]]:
    """The rivals on this machine, with the command that reads a folder; a line names those that are missing."""
    rivals: dict[str, list[str]] = {}
    by_system = "install tesseract-ocr with the system's package manager"
    for name, there, python, remedy in (
        ("rapidocr", PYTHON.exists(), str(PYTHON), "make peers"),
        ("tesseract", shutil.which("tesseract") is not None, sys.executable, by_system),
    ):
        if there:
            rivals[name] = [python, str(PROGRAM), name]
        else:
            print(f"{name} is left out, it is not on this machine: {remedy}", flush=True)
    return rivals


def run_rival(command: list[str], folder: Path, turn: int) -> FinishedProcess:
    """Let a rival read a folder."""
    return run_process([*command, str(folder)], {})


def error_rate(done: FinishedProcess, truth: Mapping[str, str]) -> float:
    """Edit distance over digits, all pages together."""
    read = [[done.document["digits"].get(name, "")] for name in truth]
    return PageScore.of(read, [[text] for text in truth.values()]).character_error_rate


def simulated_folder(folder: Path) -> Path:
    """A folder of simulated pages with their labels."""
    files = find_digits()
    # MNIST's test digits: neither network was trained on them.
    images, labels = read_without_ray(
        files, split_rows(files, DataConfig(protocol="literature")), inverted_copies=False
    )
    folder.mkdir(parents=True, exist_ok=True)
    rows = ["file,text"]
    for place, (name, conditions) in enumerate(CONDITIONS.items()):
        for number in range(PAGES):
            page = simulated_page(images, labels, np.random.default_rng((SEED, place, number)), conditions)
            file = f"{name.replace(' ', '-')}-{number}.png"
            (folder / file).write_bytes(encode_png(page.picture))
            rows.append(f"{file},{'|'.join(page.lines)}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder
