"""Tests that would notice: each small change to a guard turns one of its tests red, and so do nine in ten elsewhere."""

import ast
import importlib.util
import json
import subprocess
import sys
import time

import pytest

from tests.mutation.exchange import Exchange
from tests.mutation.forks import BROKEN, in_fork
from tests.mutation.mutants import mutants_of
from tests.mutation.run import EQUIVALENT, GUARDS, ROOT, SAMPLED, SIZE, everything, path_of, sample

HOURS = 3600
SOURCE = '''
LIMIT = 3

def check(value: int = 0, *, strict: bool = True) -> str | None:
    """1 + 1 in a docstring stays."""
    if not value or value > LIMIT:
        raise ValueError(value)
    notify(value, quiet=strict)
    return "fine"
'''


def survivors(*arguments: str) -> dict[str, list[str]]:
    """What survives, by module."""
    command = [sys.executable, "-m", "tests.mutation.run", *arguments]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout.splitlines()[-1])


def test_every_kind_of_change_is_made_once_in_each_place():
    assert {mutant.name for mutant in mutants_of(SOURCE)} == {
        "3 -> 4",
        "0 -> 1",
        "True -> False",
        "if not value or value > LIMIT: -> if not (not value or value > LIMIT):",
        "not value or value > LIMIT -> not value and value > LIMIT",
        "not value -> value",
        "value > LIMIT -> value >= LIMIT",
        "raise ValueError(value) -> nothing",
        "notify(value, quiet=strict) -> nothing",
        "quiet=strict -> nothing",
        "return 'fine' -> return None",
    }


def imported(file):
    """The module of a file, as pytest imports it."""
    spec = importlib.util.spec_from_file_location("exchanged", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_change_inside_a_function_is_made_where_others_hold_that_function_already(tmp_path):
    file = tmp_path / "exchanged.py"
    file.write_text(SOURCE + "\ndef notify(value, quiet):\n    pass\n")
    held = imported(file).check
    (mutant,) = (one for one in mutants_of(file.read_text()) if one.name == "return 'fine' -> return None")
    exchange = Exchange(ast.parse(file.read_text()), mutant.tree, file)
    assert exchange.is_complete(called_on_import=set())
    assert not exchange.is_complete(called_on_import={("check", 4)})
    assert held(1) == "fine"
    exchange.make()
    assert held(1) is None


@pytest.mark.parametrize("name", ["3 -> 4", "0 -> 1", "True -> False"])
def test_a_change_outside_of_functions_needs_a_new_import(tmp_path, name):
    (mutant,) = (one for one in mutants_of(SOURCE) if one.name == name)
    exchange = Exchange(ast.parse(SOURCE), mutant.tree, tmp_path / "exchanged.py")
    assert not exchange.is_complete(called_on_import=set())


def test_a_fork_that_takes_too_long_is_ended():
    assert in_fork(lambda: 3, 60) == 3
    assert in_fork(lambda: time.sleep(60) or 0, 0.2) is None
    assert in_fork(lambda: 1 // 0, 60) == BROKEN


def test_equivalent_mutants_exist_and_have_reasons():
    listed = json.loads(EQUIVALENT.read_text())
    assert set(listed) <= set(GUARDS)
    for module, reasons in listed.items():
        names = {mutant.name for mutant in mutants_of(path_of(module).read_text())}
        assert set(reasons) <= names
        assert all(len(reason.split()) >= 4 for reason in reasons.values())


def test_the_sample_is_the_same_every_time_and_covers_what_it_is_drawn_from():
    drawn = sample(1, 100)
    assert [(module, mutant.name) for module, mutant in drawn] == [
        (module, mutant.name) for module, mutant in sample(1, 100)
    ]
    assert {one.name for _, one in sample(1, 50)} < {mutant.name for _, mutant in drawn}
    assert {module for module, _ in everything()} == set(SAMPLED)


@pytest.mark.long
@pytest.mark.timeout(6 * HOURS)
@pytest.mark.parametrize("module", GUARDS)
def test_no_change_to_a_guard_goes_unnoticed(module):
    assert survivors(module) == {module: []}


@pytest.mark.long
@pytest.mark.timeout(12 * HOURS)
def test_nine_in_ten_changes_elsewhere_are_noticed():
    unnoticed = survivors("sample")
    assert sum(map(len, unnoticed.values())) <= SIZE // 10, unnoticed
