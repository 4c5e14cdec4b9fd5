"""The command `digits`, also `python -m digits`: reads pictures, serves, and runs the jobs.

    digits read sheet.jpg ...       every digit of each picture, lines joined by |; --json for boxes and confidences
    digits serve [key=value ...]    the service on this machine
    digits train ...                a job by its name, as python jobs/train.py ...; --help tells its flags

Jobs: train, train-reader, tune, evaluate, read-folders, choose, pack, check, benchmark, load-test, scale, make-shards,
make-sheet.
"""

import importlib
import runpy
import sys

from digits.errors import ConfigurationError

JOBS = {
    name: f"jobs.{name.replace('-', '_')}"
    for name in (
        *("train", "train-reader", "tune", "evaluate", "choose", "pack"),
        *("check", "benchmark", "load-test", "scale", "make-shards", "make-sheet"),
    )
} | {"read-folders": "jobs.read"}
"""Module of each job."""


def main() -> int:
    """Run what the command line names; returns the exit code."""
    name, arguments = (sys.argv[1:2] or ["--help"])[0], sys.argv[2:]
    if name in ("-h", "--help"):
        print(__doc__)
        return 0
    if name == "read":
        reading = importlib.import_module("digits.reading.__main__")
        code: int = reading.main(arguments, as_json="--json" in arguments)
        return code
    if name != "serve" and name not in JOBS:
        expected = f"read, serve, {', '.join(JOBS)}"
        refused = ConfigurationError(f"there is no command {name}", expected, "digits --help lists them")
        print(f"error: {refused}", file=sys.stderr)
        return 2
    sys.argv = [f"digits {name}", *arguments]
    runpy.run_module(JOBS.get(name, "serve"), run_name="__main__")
    return 0


if __name__ == "__main__":
    sys.exit(main())
