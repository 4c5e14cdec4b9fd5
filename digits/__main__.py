"""The command `digits`, also `python -m digits`: reads pictures, serves, and runs the jobs.

    digits read sheet.jpg ...       every digit of each picture, lines joined by |; --json for boxes and confidences
    digits serve [key=value ...]    the service on this machine
    digits train ...                a job by its name; digits train --help tells its flags

Jobs: train, train-reader, tune, evaluate, read-folders, choose, pack, check, benchmark, load-test, scale, make-shards,
make-sheet.
"""

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from digits.errors import ConfigurationError, missing_package


@dataclass(frozen=True)
class Job:
    """Where a job stands in the library."""

    module: str
    settings: str
    """Its command line, whose docstring says what the job does."""
    function: str
    extra: str = "train"
    """Which of digits' extras it needs."""


JOBS = {
    "train": Job("digits.commands.training", "TrainSettings", "train"),
    "train-reader": Job("digits.commands.reader.training", "TrainReaderSettings", "train_reader"),
    "tune": Job("digits.commands.tuning", "TuneSettings", "tune"),
    "evaluate": Job("digits.commands.evaluation", "EvaluateSettings", "evaluate_checkpoint"),
    "read-folders": Job("digits.commands.reader.pictures", "ReadSettings", "read_pictures"),
    "choose": Job("digits.commands.choosing", "ChooseSettings", "choose"),
    "pack": Job("digits.commands.packing", "PackSettings", "pack"),
    "check": Job("digits.diagnostics.check", "CheckSettings", "check"),
    "benchmark": Job("digits.benchmarks.benchmark", "BenchmarkSettings", "benchmark", "dev"),
    "load-test": Job("digits.benchmarks.serving.load_test", "LoadTestSettings", "load_test", "dev"),
    "scale": Job("digits.benchmarks.scaling.scale", "ScaleSettings", "scale", "dev"),
    "make-shards": Job("digits.commands.shards.making", "MakeShardsSettings", "make_shards"),
    "make-sheet": Job("digits.commands.shards.sheet", "MakeSheetSettings", "make_sheet"),
}
_TRAIN = ("ray", "tensorflow", "keras", "pyarrow", "tyro", "rich", "psutil")
PACKAGES = {"serve": ("ray", "fastapi", "pyarrow"), "train": _TRAIN, "dev": (*_TRAIN, "fastapi", "gevent")}
"""Packages that are there where an extra is installed."""


def require_extra(extra: str, command: str) -> None:
    """End with exit code 2 unless an extra is installed: a worker would miss it only once a cluster has started."""
    for package in PACKAGES[extra]:
        if importlib.util.find_spec(package) is None:
            refuse(missing_package(package, extra, command))


def refuse(error: ConfigurationError) -> NoReturn:
    """Say what is wrong, and end with exit code 2."""
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2)


def run(name: str) -> None:
    """Run a job on this process' command line; its result is the last line of stdout (see `run_job`)."""
    job = JOBS[name]
    require_extra(job.extra, f"digits {name}")
    importlib.import_module("digits.stopping").listen()  # before the imports below, which take seconds
    console = importlib.import_module("digits.commands.console")
    module = importlib.import_module(job.module)
    console.run_job(getattr(module, job.settings), getattr(module, job.function))


def serve(arguments: Sequence[str]) -> None:
    """Serve until Ctrl-C."""
    require_extra("serve", "digits serve")
    importlib.import_module("digits.service.start").main(arguments)


def main() -> int:
    """Run what the command line names; returns the exit code."""
    name, arguments = (sys.argv[1:2] or ["--help"])[0], sys.argv[2:]
    if name in ("-h", "--help"):
        print(__doc__)
    elif name == "read":
        reading = importlib.import_module("digits.reading.__main__")
        code: int = reading.main(arguments, as_json="--json" in arguments)
        return code
    elif name == "serve":
        serve(arguments)
    elif name in JOBS:
        sys.argv = [f"digits {name}", *arguments]
        run(name)
    else:
        expected = f"read, serve, {', '.join(JOBS)}"
        refuse(ConfigurationError(f"there is no command {name}", expected, "digits --help lists them"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
