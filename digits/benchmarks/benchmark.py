"""What jobs/benchmark.py does: runs one comparison after another, prints their tables, keeps their figures."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from digits import stopping
from digits.benchmarks import data_path, evaluation, growth, reading, search, steps, training
from digits.benchmarks.measuring import Results, Scope
from digits.benchmarks.record import Record, to_json
from digits.benchmarks.serving import service
from digits.commands.console import show_table
from digits.errors import require
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
    resume: str | None = None
    """Name of a benchmark that was stopped, on this machine; parts that it measured to their end are kept."""
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


def benchmark(settings: BenchmarkSettings) -> dict[str, Any]:
    """Measure what the command line names and was not measured yet; returns the job's JSON document."""
    settings.check()
    asked = to_json(settings)
    if settings.resume is None:
        record = Record.begin(settings.storage_path, asked)
    else:
        record = Record.resume(settings.storage_path, settings.resume, asked)
    scope = Scope(
        folder=record.folder,
        repeats=settings.repeats,
        digits=settings.digits,
        epochs=settings.epochs,
        seconds=settings.seconds,
        trials=settings.trials,
        pages=settings.pages and settings.pages.absolute(),
    )
    machine = "{processor}, {cores} cores, {memory_gb} GB".format(**record.machine)
    print(f"{machine} | {record.folder}", flush=True)
    stopping.reached(lambda: reached(record))
    for part in settings.parts:
        if part not in record.parts:
            measure(part, scope, record)
    if "growth" in record.results.details:
        (record.folder / "growth.png").write_bytes(growth.picture(record.results.details["growth"]))
    files = sorted(file.name for file in record.folder.iterdir() if file.is_file())
    print(f"written to {record.folder}: {', '.join(files)}")
    return record.document()


def reached(record: Record) -> str:
    """What is said of a benchmark that is stopped now."""
    if not record.parts:
        return "before a part had ended"
    return f"after {', '.join(record.parts)}; go on with --resume {record.folder.name}"


def measure(part: Part, scope: Scope, record: Record) -> None:
    """Measure one part, show its table, and keep its figures."""
    load, start, known = os.getloadavg()[0], time.perf_counter(), len(record.results.figures)
    MEASURES[part](scope, record.results)
    seconds = time.perf_counter() - start
    record.parts[part] = {"seconds": round(seconds, 1), "load": load}
    record.write()
    show_table(
        f"{part}, {seconds:.0f} s, load {load:.1f} at its start",
        ["figure", "against", "ours", "theirs", "unit", "ratio min, median, max", "aim"],
        [figure.row() for figure in record.results.figures[known:]],
    )
