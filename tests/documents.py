"""The commands that the documents tell people to type."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCUMENTS: Mapping[str, Sequence[str]] = {
    "README.md": ("Quick start", "The commands people use"),
    "docs/training.md": ("Commands", "Set the parts of a network"),
    "docs/evaluation.md": ("Commands", "Repeat the experiment with your own hand"),
    "docs/reading.md": ("Commands",),
    "docs/search.md": ("Commands",),
    "docs/serving.md": ("Start it",),
    "docs/cluster.md": ("A cluster of this machine",),
}
"""Files, and the sections (## headings, everything below them) whose commands are run, in this order."""
_HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
_BLOCK = re.compile(r"^(<!-- not tested: [^\n]+ -->\n)?```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def section_of(text: str, heading: str) -> str:
    """What stands under one ## heading; ValueError if there is none."""
    parts = _HEADING.split(text)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    if heading not in sections:
        raise ValueError(f"there is no heading {heading!r}, only {', '.join(sections)}")
    return sections[heading]


def commands_of(section: str) -> Iterator[str]:
    """The commands of a section, each as a shell takes it.

    Blocks marked `sh` hold one command a line, beside lines of comment; a block marked `python` is one command. Blocks
    without a language need a cloud, and a comment `<!-- not tested: why -->` right above leaves one out.
    """
    for left_out, language, code in _BLOCK.findall(section):
        if left_out:
            continue
        if language == "python":
            yield f"python - <<'END'\n{code}END"
        else:
            yield from (line for line in code.splitlines() if line.strip() and not line.startswith("#"))


def documented_commands() -> list[tuple[str, list[str]]]:
    """Every section, as `file: heading`, with its commands."""
    return [
        (f"{name}: {heading}", list(commands_of(section_of((ROOT / name).read_text(encoding="utf-8"), heading))))
        for name, headings in DOCUMENTS.items()
        for heading in headings
    ]
