#!/usr/bin/env python
"""Writes the tables of flags in docs/*.md from the settings of the jobs, so that each flag is described once.

    python docs/flags.py

A table stands between `<!-- flags: jobs/NAME.py -->` and `<!-- end of flags -->`.
"""

import argparse
import importlib
import re
import sys
import warnings
from pathlib import Path

import tyro

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

DOCS = Path(__file__).resolve().parent
TABLE = re.compile(r"(<!-- flags: (jobs/\w+\.py) -->\n).*?(<!-- end of flags -->)", re.DOTALL)
DEFAULT = re.compile(r"\s*\(default: (.*)\)$", re.DOTALL)


def settings_of(job: str) -> type:
    """The dataclass that a job, such as jobs/train.py, parses its command line into."""
    from digits.__main__ import JOBS

    (name,) = re.findall(r'^    run\("([\w-]+)"\)$', (DOCS.parent / job).read_text(encoding="utf-8"), re.MULTILINE)
    return getattr(importlib.import_module(JOBS[name].module), JOBS[name].settings)


def flags_of(job: str) -> list[argparse.Action]:
    """The flags that a job takes, in the order of its --help."""
    with warnings.catch_warnings():
        # Nothing else in this version of tyro tells the names of flags without printing them.
        warnings.filterwarnings("ignore", category=DeprecationWarning, message="get_parser")
        parser = tyro.extras.get_parser(settings_of(job))
    return [action for action in parser._actions if action.option_strings and "--help" not in action.option_strings]


def values_of(flag: argparse.Action) -> str:
    """What may follow a flag: its choices, or the kind of value."""
    metavar = str(flag.metavar or "").removeprefix("{None}|")
    metavar = metavar.removeprefix("{").removesuffix("}") if metavar.startswith("{[") else metavar
    several = " ..." if metavar.startswith("[") else ""
    if choices := re.search(r"\{([\w.-]+(?:,[\w.-]+)+)\}", metavar):
        return ", ".join(f"`{choice}`" for choice in choices[1].split(",") if choice != "None") + several
    if several:
        return f"`{metavar.strip('[').split()[0]}{several}`"
    return " or ".join(f"`{kind.strip('{}')}`" for kind in metavar.split("|") if kind)


def row_of(flag: argparse.Action) -> str:
    """One row of a table: flag, values, default, and the words of its --help."""
    words = (flag.help or "").replace("%%", "%")
    default = DEFAULT.search(words)
    shown = default[1] if default and default[1] not in ("None", "") else ""
    shown = f"`{shown}`" if shown and not shown.startswith("the ") else shown
    cells = [", ".join(f"`{name}`" for name in flag.option_strings), values_of(flag), shown, DEFAULT.sub("", words)]
    return "| " + " | ".join(cell.replace("|", r"\|").replace("\n", " ") for cell in cells) + " |"


def table_of(job: str) -> str:
    """All flags of a job as a table in Markdown."""
    rows = ["| flag | values | default | what it sets |", "| --- | --- | --- | --- |", *map(row_of, flags_of(job))]
    return "\n".join(rows) + "\n"


def updated(text: str) -> str:
    """A page with its tables of flags written anew."""
    return TABLE.sub(lambda match: match[1] + table_of(match[2]) + match[3], text)


def main() -> None:
    """Write every table anew."""
    for page in sorted(DOCS.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        if (new := updated(text)) != text:
            page.write_text(new, encoding="utf-8")
            print(f"written: {page.relative_to(DOCS.parent)}")


if __name__ == "__main__":
    main()
