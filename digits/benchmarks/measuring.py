"""How every part of the benchmark measures: two sides run in turns, each in its own process, and each turn has a ratio.

Machines differ and are never quite idle, so a ratio of two runs right after each other says more than seconds do.
"""

import contextlib
import itertools
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
import psutil

from digits.benchmarks.parquet import read_parquet, write_parquet
from digits.config import RECIPES
from digits.data.mnist import find_mnist
from digits.errors import BenchmarkError
from digits.models import checkpoints
from digits.storage import Storage

ROOT = Path(__file__).resolve().parents[2]
NETWORKS = ("baseline", "improved")


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What all parts measure on."""

    folder: Path
    """Where runs, digits and checkpoints of the benchmark are written; absolute."""
    repeats: int
    """Turns of each comparison."""
    digits: int | None
    """How many of MNIST's digits are used; None: all."""
    epochs: int | None
    """Epochs of each training; None: as each network's recipe says."""
    seconds: float
    """Time of each measurement of the service."""
    trials: int
    """Networks that the measured search tries."""
    pages: Path | None
    """Folder of labelled pages that the part reading takes beside simulated ones."""

    def epochs_of(self, network: str) -> int:
        """Epochs of a full training of a network."""
        return self.epochs or RECIPES[network].training.epochs

    def data_folder(self, copies: int = 1) -> Path:
        """A folder of Parquet files with the digits, each of them `copies` times."""
        if self.digits is None and copies == 1:
            return find_mnist()
        folder = self.folder / f"digits-{self.digits or 'all'}-x{copies}"
        if folder.exists():
            return folder
        partial = folder.with_name(f"{folder.name}.partial")
        partial.mkdir(parents=True, exist_ok=True)
        if self.digits is None:  # files as large as those of one copy: how many there are is what grows
            for file, copy in itertools.product(find_mnist().glob("*.parquet"), range(copies)):
                shutil.copyfile(file, partial / f"{file.stem}-{copy}.parquet")
        else:
            images, labels = read_parquet(find_mnist())
            for copy in range(copies):
                write_parquet(partial / f"train-{copy}.parquet", images[: self.digits], labels[: self.digits])
        return partial.rename(folder)

    def checkpoint(self, network: str) -> Path:
        """A checkpoint with random weights, with which an answer costs as much as with trained ones."""
        architecture, folder = RECIPES[network].architecture, self.folder / f"random-{network}"
        if not folder.exists():
            rng = np.random.default_rng(0)
            weights = {
                name: rng.normal(0, 0.05, shape).astype(np.float32)
                for name, shape in architecture.weight_shapes().items()
            }
            record = {"name": folder.name, "architecture": architecture.to_dict()}
            checkpoints.write(Storage.open(folder), weights=weights, record=record)
        return folder


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One comparison: what both sides measured in each turn, and what the ratio should be."""

    part: str
    what: str
    unit: str
    """Unit of both sides' values."""
    against: str
    """What the other side is."""
    ours: Sequence[float]
    theirs: Sequence[float]
    better: Literal["lower", "higher"]
    aim: float | None = None
    """The ratio to reach: at most this where lower is better, else at least this; None: there is no aim."""
    remark: str = ""

    @property
    def ratios(self) -> list[float]:
        """Ours divided by theirs, turn by turn."""
        return [ours / theirs for ours, theirs in zip(self.ours, self.theirs, strict=True)]

    @property
    def met(self) -> bool | None:
        """Whether the median reaches the aim; None without an aim."""
        if self.aim is None:
            return None
        median = statistics.median(self.ratios)
        return median <= self.aim if self.better == "lower" else median >= self.aim

    def row(self) -> list[str]:
        """The figure in the benchmark's table."""
        low, middle, high = min(self.ratios), statistics.median(self.ratios), max(self.ratios)
        sign = "≤" if self.better == "lower" else "≥"
        aim = "-" if self.aim is None else f"{sign} {self.aim:g} {'yes' if self.met else 'NO'}"
        values = [f"{statistics.median(side):,.4g}" for side in (self.ours, self.theirs)]
        return [
            f"{self.part}: {self.what}",
            self.against,
            *values,
            self.unit,
            f"{low:.2f} {middle:.2f} {high:.2f}",
            aim,
        ]

    def document(self) -> dict[str, Any]:
        """The figure in the benchmark's JSON."""
        ratios = self.ratios
        return {
            **{name: getattr(self, name) for name in ("part", "what", "unit", "against", "better", "aim", "remark")},
            "ours": list(self.ours),
            "theirs": list(self.theirs),
            "ratio": {"min": min(ratios), "median": statistics.median(ratios), "max": max(ratios)},
            "met": self.met,
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Figure":
        """The figure that `document` wrote."""
        return cls(**{entry.name: document[entry.name] for entry in fields(cls)})


@dataclass(frozen=True, kw_only=True)
class FinishedProcess:
    """A side that ran to its end."""

    document: dict[str, Any]
    """Its last line."""
    started_at: float
    """Seconds since 1970."""
    seconds: float
    """How long the whole process took."""
    lines: list[tuple[float, str]]
    """What it printed, with the seconds since its start."""
    peak_bytes: dict[str, int]
    """Peak resident memory in bytes by the process's title, see `process_title`; 'main' is the side itself."""


def alternate(sides: Mapping[str, Callable[[int], Any]], repeats: int) -> dict[str, list[Any]]:
    """What each side gives in each turn; every second turn runs them in the opposite order."""
    results: dict[str, list[Any]] = {name: [] for name in sides}
    for turn in range(repeats):
        for name in list(sides)[:: 1 if turn % 2 == 0 else -1]:
            results[name].append(sides[name](turn))
    return results


def run_side(module: str, *arguments: object, environment: Mapping[str, str] | None = None) -> FinishedProcess:
    """Run a program of `sides`, or another module, to its end."""
    return run_process([sys.executable, "-m", module, *map(str, arguments)], environment or {})


def run_job_script(name: str, *arguments: object) -> FinishedProcess:
    """Run a job of this project to its end, as a user would."""
    return run_process([sys.executable, str(ROOT / "jobs" / f"{name}.py"), *map(str, arguments)], {})


def run_process(command: Sequence[str], environment: Mapping[str, str]) -> FinishedProcess:
    """Run a program whose last line is a JSON document; BenchmarkError where it fails."""
    lines: list[tuple[float, str]] = []
    with tempfile.TemporaryFile("w+") as errors:
        started_at, start = time.time(), time.perf_counter()
        process = start_process(command, environment, stdout=subprocess.PIPE, stderr=errors, text=True)
        with watch_memory(process.pid) as peak_bytes:
            assert process.stdout is not None
            for line in process.stdout:
                lines.append((time.perf_counter() - start, line.rstrip()))
            process.wait()
        seconds = time.perf_counter() - start
        if process.returncode != 0:
            errors.seek(0)
            raise BenchmarkError(
                f"{' '.join(command[1:3])} ended with exit code {process.returncode}",
                "0",
                f"mend what it says: {errors.read()[-2000:]}",
            )
    return FinishedProcess(
        document=json.loads(lines[-1][1]), started_at=started_at, seconds=seconds, lines=lines, peak_bytes=peak_bytes
    )


def start_process(command: Sequence[str], environment: Mapping[str, str], **options: Any) -> subprocess.Popen[Any]:
    """Start a program in the project's folder."""
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(command, cwd=ROOT, env={**os.environ, **quiet, **environment}, **options)


@contextlib.contextmanager
def watch_memory(root: int, interval: float = 0.25) -> Iterator[dict[str, int]]:
    """Peak resident memory, while the block runs, of a process and all that it started: the largest for each title."""
    peaks: dict[str, int] = {}
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(interval):
            for title, peak in memory_of_tree(root):
                peaks[title] = max(peaks.get(title, 0), peak)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peaks
    finally:
        ended.set()
        thread.join()


def memory_of_tree(root: int) -> list[tuple[str, int]]:
    """Titles and peaks of resident memory, in bytes, of a process and of all that it started."""
    found = []
    for process in process_tree(root):
        with contextlib.suppress(psutil.Error, OSError):  # it ended in the meantime
            # psutil gives the peak on Windows only.
            peak = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())
            if peak:
                found.append((process_title(process, root), 1024 * int(peak[1])))
    return found


def process_tree(root: int) -> list[psutil.Process]:
    """A process and all that it started, and they in turn; empty where it has ended."""
    try:
        process = psutil.Process(root)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def process_title(process: psutil.Process, root: int) -> str:
    """What a process calls itself: 'main', the class of a Ray actor such as ray::TrainController, or a program."""
    if process.pid == root:
        return "main"
    command = "".join(process.cmdline()[:1])
    words = command.split(".")[0].split(":")
    return ":".join(words[:3]) if command.startswith("ray::") else Path(command.split(" ")[0]).name


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass(kw_only=True)
class Results:
    """What the parts found so far."""

    figures: list[Figure] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)
    """Values without another side: memory, start-up, growth."""
