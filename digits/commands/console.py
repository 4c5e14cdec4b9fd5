"""What every job shows and how it ends: a table, a progress bar on a terminal, one JSON document, clear errors."""

import importlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import tyro
from rich.console import Console
from rich.table import Table

Settings = TypeVar("Settings")


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM in a job that still has a result to report."""

    def __init__(self, result: dict[str, Any]) -> None:
        super().__init__("stopped")
        self.result = result


def run_job(settings: type[Settings], job: Callable[[Settings], dict[str, Any]], description: str | None) -> None:
    """Parse the command line into `settings`, run the job, and print its result as the last line of stdout.

    Exit codes: 0 for success; 1 with one message on stderr for what a user can cause, storage that fails or training
    that ends early; 2 for a wrong command line; 130 for Ctrl-C or SIGTERM, after which a job may still print what it
    has.
    """
    try:
        result = job(tyro.cli(settings, description=description))
    except KeyboardInterrupt as stop:
        print("stopped by Ctrl-C or SIGTERM", file=sys.stderr)
        if isinstance(stop, Interrupted):
            print(json.dumps(stop.result, allow_nan=False), flush=True)
        sys.exit(130)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    print(json.dumps(result, allow_nan=False), flush=True)


def import_tensorflow() -> None:
    """Import TensorFlow without the lines that its C++ parts write to stderr whatever the log level."""
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


class ProgressLine:
    """A progress bar on a terminal, under the lines that are printed; shows nothing elsewhere."""

    WIDTH = 30

    def __init__(self) -> None:
        self.visible = sys.stderr.isatty()

    def show(self, text: str, fraction: float) -> None:
        """Draw the bar anew for a fraction in 0..1."""
        if self.visible:
            filled = round(self.WIDTH * fraction)
            bar = "━" * filled + " " * (self.WIDTH - filled)
            print(f"\r\x1b[2K{text} {bar} {fraction:4.0%}", end="", file=sys.stderr, flush=True)

    def print(self, line: str) -> None:
        """Print a line of the log in place of the bar."""
        if self.visible:
            print("\r\x1b[2K", end="", file=sys.stderr, flush=True)
        print(line, flush=True)
