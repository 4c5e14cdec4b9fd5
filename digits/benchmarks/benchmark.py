"""What jobs/benchmark.py does: runs one comparison after another, prints their tables, keeps their figures."""

import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from digits.benchmarks import data_path, evaluation, growth, reading, search, steps, training
from digits.benchmarks.measuring import Results, Scope
from digits.benchmarks.serving import service
from digits.commands.console import show_table
from digits.errors import require
from digits.machine import usable_cores
from digits.storage import Storage
from digits.training.runs import PACKAGES
from digits.uris import is_uri, public

Part = Literal[
    "training", "steps", "data", "distortion", "evaluation", "service", "reading", "growth", "search", "trials"
]
MEASURES: dict[Part, Callable[[Scope, Results], None]] = {
    "training": training.measure,
    "steps": steps.measure,
    "data": data_path.measure,
    "distortion": data_path.measure_distortion,
    "evaluation": evaluation.measure,
    "service": service.measure,
    "reading": reading.measure,
    "growth": growth.measure,
    "search": search.measure,
    "trials": growth.measure_trials,
}


@dataclass(frozen=True, kw_only=True)
class BenchmarkSettings:
    """Measures this project against what a user would pick instead, on the same digits and machine, in the same run.

    Every figure is a ratio of two sides that run in turns; the table shows minimum, median and maximum over the turns.
    """

    parts: tuple[Part, ...] = ("training", "steps", "data", "distortion", "evaluation", "service", "growth")
    """What is measured; left out: reading (needs make peers), search and trials (take longest)."""
    repeats: int = 3
    """Turns of each comparison."""
    storage_path: str = "runs"
    """Local folder in which a folder for this benchmark is made."""
    digits: int | None = None
    """How many of MNIST's digits are used; left out, all 70,000."""
    epochs: int | None = None
    """Epochs of each training; left out, as each network's recipe says."""
    seconds: float = 5.0
    """Time of each measurement of the service, in seconds, at most 60."""
    trials: int = 20
    """Networks that the part search tries."""
    pages: Path | None = None
    """Folder of labelled pages (labels.csv: file, text) that the part reading takes beside simulated ones."""

    def check(self) -> None:
        """Raise ConfigurationError for what cannot be measured."""
        require(self.repeats >= 1, f"repeats = {self.repeats}", "a whole number of at least 1", "use 3")
        require(
            self.digits is None or 200 <= self.digits <= 70_000,
            f"digits = {self.digits}",
            "200 to 70,000 digits",
            "leave it out to use all",
        )
        require(
            not is_uri(self.storage_path),
            f"storage path = {public(self.storage_path)}",
            "a folder of this machine",
            "use for instance runs",
        )
        require(0 < self.seconds <= 60, f"seconds = {self.seconds}", "more than 0, at most 60", "use 5")


def describe_machine() -> dict[str, Any]:
    """What the figures were measured on, and with."""
    model = [line.partition(":")[2].strip() for line in read("/proc/cpuinfo").splitlines() if "model name" in line]
    return {
        "processor": model[0] if model else platform.machine(),
        "cores": usable_cores(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {package: version(package) for package in PACKAGES},
        "load": os.getloadavg()[0],
    }


def read(path: str) -> str:
    """A file of the system, or nothing where the system has no such file."""
    file = Path(path)
    return file.read_text() if file.exists() else ""


def benchmark(settings: BenchmarkSettings) -> dict[str, Any]:
    """Measure what the command line names; returns the job's JSON document."""
    settings.check()
    folder = Path(Storage.open(settings.storage_path).new_folder("benchmark").path)
    scope = Scope(
        folder=folder,
        repeats=settings.repeats,
        digits=settings.digits,
        epochs=settings.epochs,
        seconds=settings.seconds,
        trials=settings.trials,
        pages=settings.pages and settings.pages.absolute(),
    )
    results, machine = Results(), describe_machine()
    memory, load = machine["memory_gb"], machine["load"]
    print(f"{machine['processor']}, {machine['cores']} cores, {memory} GB, load {load:.1f} | {folder}", flush=True)
    for part in settings.parts:
        start, known = time.perf_counter(), len(results.figures)
        MEASURES[part](scope, results)
        show_table(
            f"{part}, {time.perf_counter() - start:.0f} s",
            ["figure", "against", "ours", "theirs", "unit", "ratio min, median, max", "aim"],
            [figure.row() for figure in results.figures[known:]],
        )
    document = {
        "machine": machine,
        "settings": {**asdict(settings), "pages": settings.pages and str(settings.pages)},
        "figures": [figure.document() for figure in results.figures],
        "details": results.details,
        "folder": str(folder),
    }
    (folder / "benchmark.json").write_text(json.dumps(document, indent=1))
    if "growth" in results.details:
        (folder / "growth.png").write_bytes(growth.picture(results.details["growth"]))
    print(f"written to {folder}: {', '.join(sorted(file.name for file in folder.iterdir() if file.is_file()))}")
    return document
