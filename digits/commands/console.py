"""What every job shows, and how it ends: tables, a progress bar on a terminal, one JSON document, clear errors."""

import contextlib
import importlib
import io
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, Self, TypeVar

import tyro
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table

from digits import stopping
from digits.storage import Storage

Settings = TypeVar("Settings")


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM in a job that still has a result to report."""

    def __init__(self, result: dict[str, Any]) -> None:
        super().__init__("stopped")
        self.result = result


class Unsound(Exception):
    """A job that did its work and found something wrong: its result is printed, and its exit code is 1."""

    def __init__(self, result: dict[str, Any]) -> None:
        super().__init__("something is wrong")
        self.result = result


def run_job(settings: type[Settings], job: Callable[[Settings], dict[str, Any]]) -> None:
    """Parse the command line into `settings`, run the job, and print its result as the last line of stdout.

    The docstring of `settings` is what --help says of the job.

    Exit codes: 0 for success; 1 for what a job found wrong, or with one message on stderr for what a user can cause,
    storage that fails or training that ends early; 2 for a wrong command line; 130 for Ctrl-C or SIGTERM, after which a
    job may still print its result so far.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A sign that a terminal or log cannot show, such as ± in ASCII, is no reason to lose a training's result.
            stream.reconfigure(errors="replace")
    begun = False
    try:
        options = tyro.cli(settings)
        begun = True
        stopping.begin()
        result = job(options)
        stopping.finish()
    except Unsound as found:
        print(json.dumps(found.result, allow_nan=False), flush=True)
        sys.exit(1)
    except KeyboardInterrupt as stop:
        end_early(stop)
    except (SystemExit, ValueError, OSError, RuntimeError) as error:
        # While Ray starts, its own handlers are in place, and whatever they tear down fails in its own way. Its
        # handler of SIGTERM raises SystemExit at once; nothing else in a job does, once its command line is read.
        if stopping.requested(patience_s=1.0 if begun and isinstance(error, SystemExit) else 0.0):
            end_early(error)
        if isinstance(error, (ValueError, OSError)):
            sys.exit(f"error: {error}")
        raise
    print(json.dumps(result, allow_nan=False), flush=True)


def end_early(stop: BaseException) -> NoReturn:
    """Say what a stopped job had reached, print its result if it has one, and exit with 130."""
    stopping.tell()
    if isinstance(stop, Interrupted):
        with contextlib.suppress(OSError):  # whoever reads it may have been stopped as well
            print(json.dumps(stop.result, allow_nan=False), flush=True)
    stopping.end()


def import_tensorflow() -> None:
    """Import TensorFlow without the lines that its C++ code writes to stderr at any log level."""
    stderr = os.dup(2)
    try:
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        importlib.import_module("tensorflow")
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


def show_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a small table: text on the left, numbers on the right."""
    table = Table(title=title, title_justify="left", title_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    for row in rows:
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def write_files(run_dir: Storage, files: Mapping[str, bytes]) -> None:
    """Write files, by their names, into a job's folder."""
    for name, content in files.items():
        (run_dir / name).write_bytes(content)


class ProgressLine:
    """On a terminal, a progress bar below the lines that are printed meanwhile; elsewhere only the lines."""

    def __init__(self) -> None:
        on_stdout = sys.stdout.isatty()
        # Lines that do not go where the bar goes are printed as they are.
        self.lines = Console() if on_stdout else None
        self.bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(30),
            TaskProgressColumn(),
            console=self.lines or Console(stderr=True),
            auto_refresh=False,
            transient=True,
            redirect_stdout=on_stdout,
            redirect_stderr=sys.stderr.isatty(),
            disable=not (on_stdout or sys.stderr.isatty()),
        )
        self.task = self.bar.add_task("", total=1.0, visible=False)

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.stop()

    def show(self, text: str, fraction: float) -> None:
        """Draw the bar anew for a fraction in 0..1."""
        self.bar.update(self.task, description=text, completed=fraction, visible=True, refresh=True)

    def print(self, line: str) -> None:
        """Print a line of the log above the bar."""
        if self.lines:
            self.lines.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            print(line, flush=True)
