"""What tests read of the documents and of the code that they speak of: text, blocks, anchors, tables, symbols."""

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")] + sorted(
    DOCS.glob("*.md")
)
SOURCES = [path for folder in ("digits", "jobs", "serve") for path in sorted((ROOT / folder).rglob("*.py"))]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


@cache
def blocks_of(page: Path) -> list[str]:
    """The fenced blocks of a page."""
    return re.findall(r"^```\w*\n(.*?)^```", text_of(page), re.MULTILINE | re.DOTALL)


@cache
def prose_of(page: Path) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^```.*?^```", "", text_of(page), flags=re.MULTILINE | re.DOTALL)


@cache
def spans_of(page: Path) -> set[str]:
    """What stands between backticks in the prose of a page."""
    return set(re.findall(r"`([^`\n]+)`", prose_of(page)))


def anchors_of(page: Path) -> list[str]:
    """The anchors that GitHub gives a page's headings."""
    headings = re.findall(r"^#+ (.+)$", prose_of(page), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


def section_of(page: Path, anchor: str) -> str:
    """The text of a page from the heading with this anchor to the next of its level or above."""
    lines = text_of(page).splitlines()
    levels = {
        number: re.match("#+", line)[0]
        for number, line in enumerate(lines)
        if re.match(r"#+ ", line) and re.sub(r"[^\w\- ]", "", line.lstrip("# ").lower()).replace(" ", "-") in [anchor]
    }
    (start,) = levels
    end = next(
        (n for n in range(start + 1, len(lines)) if re.match(rf"#{{1,{len(levels[start])}}} ", lines[n])), len(lines)
    )
    return "\n".join(lines[start:end])


def rows_of(text: str) -> list[list[str]]:
    """The cells of the body rows of all tables in a text."""
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in text.splitlines() if line.startswith("|")]
    rulers = [number for number, row in enumerate(rows) if all(re.fullmatch(r" *:?-+:? *", cell) for cell in row)]
    heads = {number + step for number in rulers for step in (-1, 0)}
    return [[cell.strip() for cell in row] for number, row in enumerate(rows) if number not in heads]


def symbols_of(path: Path) -> set[str]:
    """The names that a Python file defines at its top level, or all words of another file."""
    if path.suffix != ".py":
        return set(re.findall(r"\w+", path.read_text(encoding="utf-8")))
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)}
    return names


def keys_in(value: object) -> set[str]:
    """All keys of nested dictionaries and lists."""
    if isinstance(value, dict):
        return set(value) | {key for child in value.values() for key in keys_in(child)}
    return {key for child in value for key in keys_in(child)} if isinstance(value, list) else set()


def fields_of(name: str) -> set[str]:
    """The fields of a class of the service, by the class's name."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and node.name == name and {"service", "serve"} & set(path.parts):
                return {field.target.id for field in node.body if isinstance(field, ast.AnnAssign)}
    raise AssertionError(f"no class {name} in the service")
