"""The size of things: files, functions and packages can be read at one go; exceptions are few and have reasons."""

import ast
import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES_A_PACKAGE, LINES_A_FILE, LINES_A_FUNCTION, PARAMETERS = 12, 300, 60, 8
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
EXCEPTIONS = {
    "digits": "twelve modules, and __main__.py for the command, which no other imports",
    "jobs": "one file for each command that people type, a few lines that parse and call",
    "digits/augmentation/letterforms.py": "a table of curves, one style of writing after another",
    "digits/service/api.py:create_api": "a list of paths, each a function of a few lines inside, as FastAPI has it",
    "digits/service/inference/routes.py:add_inference_routes": "a list of paths with small functions, likewise",
}
"""What is larger, a package, a file or a function, and why; at most ten."""


def measured() -> dict[str, list[str]]:
    """What is too large, by its name: how."""
    found: dict[str, list[str]] = {}
    packages: dict[Path, int] = {}
    for path in sorted(path for folder in ("digits", "jobs", "serve") for path in (ROOT / folder).rglob("*.py")):
        name, text = str(path.relative_to(ROOT)), path.read_text()
        if path.name != "__init__.py":
            packages[path.parent] = packages.get(path.parent, 0) + 1
        if (lines := text.count("\n")) > LINES_A_FILE:
            found.setdefault(name, []).append(f"{lines} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = node.end_lineno - node.lineno + 1
                arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                parameters = sum(argument.arg not in ("self", "cls") for argument in arguments)
                if lines > LINES_A_FUNCTION:
                    found.setdefault(f"{name}:{node.name}", []).append(f"{lines} lines")
                if parameters > PARAMETERS:
                    found.setdefault(f"{name}:{node.name}", []).append(f"{parameters} parameters")
    for package, modules in packages.items():
        if modules > MODULES_A_PACKAGE:
            found.setdefault(str(package.relative_to(ROOT)), []).append(f"{modules} modules")
    return found


def test_packages_files_and_functions_are_small():
    too_large = measured()
    assert {name: how for name, how in too_large.items() if name not in EXCEPTIONS} == {}
    assert set(EXCEPTIONS) <= set(too_large), "an exception that is none any more"


@pytest.mark.parametrize("job", sorted((ROOT / "jobs").glob("[a-z]*.py")), ids=lambda job: job.stem)
def test_a_job_only_parses_and_calls_and_can_be_executed(job):
    defined = [node.name for node in ast.walk(ast.parse(job.read_text())) if isinstance(node, DEFINITIONS)]
    assert defined in ([], ["main"])
    assert job.read_text().startswith("#!/usr/bin/env python\n") and os.access(job, os.X_OK)


def test_exceptions_are_few_and_have_reasons():
    assert len(EXCEPTIONS) <= 10
    assert all(len(reason.split()) >= 5 for reason in EXCEPTIONS.values())
