"""Runs tests against mutants: each in a fork of this process, in which the module has the change.

    python -m tests.mutation.run [MODULE ... | sample [SIZE]]

A smaller sample is the beginning of a larger one.

Outcomes are kept in .mutants/, so that an interrupted run goes on where it was; a changed module or test begins anew.
Why not mutmut or cosmic-ray: docs/log.md, "Tests of the tests".
"""

import ast
import hashlib
import importlib.abc
import importlib.util
import json
import math
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest

from tests.mutation.exchange import Exchanging
from tests.mutation.forks import in_fork
from tests.mutation.mutants import Mutant, mutants_of

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / ".mutants"
EQUIVALENT = Path(__file__).with_name("equivalent.json")
"""Mutants that behave as the original, by module: their names, each with the reason."""
SLOWER = 10
"""A mutant whose tests take so many times as long as the original's, and ten seconds, runs for ever: it is noticed."""
OPTIONS = (
    *("-x", "-q", "-p", "no:cacheprovider", "-m", "not slow and not long", "-W", "ignore:Module already imported"),
    *("--deselect", "tests/unit/models/test_registry.py::test_processes_that_finish_at_once_lose_nothing"),
)
"""Of pytest: it ends at the first failure; libraries were imported before it began; and a test is left out whose
processes import everything anew, so that they see no change."""
GUARDS = {
    "digits.service.limits": ("tests/unit/service/test_limits.py",),
    "digits.service.gate": ("tests/unit/service/test_gate.py",),
    "digits.service.service": tuple(
        f"tests/unit/service/test_{name}.py" for name in ("service", "api", "read", "refresh", "sheet")
    ),
    "digits.service.model": ("tests/unit/service/test_api.py", "tests/unit/service/test_refresh.py"),
    "digits.service.api": tuple(
        f"tests/unit/service/test_{name}.py"
        for name in ("responses", "api", "read", "sheet", "clients_of_every_kind", "limits", "heic")
    ),
    "digits.service.request_body": tuple(
        f"tests/unit/service/test_{name}.py" for name in ("request_body", "api", "clients_of_every_kind")
    ),
    "digits.service.responses": tuple(
        f"tests/unit/service/test_{name}.py" for name in ("responses", "api", "read", "sheet", "inference_protocol")
    ),
    "digits.storage": ("tests/unit/test_storage.py",),
    "digits.lease": ("tests/unit/test_lease.py",),
    "digits.models.checkpoints": ("tests/unit/models/test_checkpoints.py",),
    "digits.models.registry": ("tests/unit/models/test_registry.py",),
    "digits.models.registering": ("tests/unit/models/test_registry.py",),
    "digits.heic.decoder": ("tests/unit/heic",),
    "digits.images": ("tests/unit/test_images.py",),
}
"""Modules that guard safety or durability, and their own tests."""
PREPARATION = ("tests/unit/preprocessing", "tests/regression/test_recorded_numbers.py")
SAMPLED = {
    "digits.preprocessing.prepare": PREPARATION,
    "digits.preprocessing.ink": PREPARATION,
    "digits.preprocessing.mnist_form": PREPARATION,
    "digits.data.split": ("tests/unit/data",),
    "digits.data.files": ("tests/unit/data",),
    "digits.data.batches": ("tests/unit/data",),
    "digits.models.calibration": ("tests/unit/models/test_calibration.py",),
    "digits.training.runs": ("tests/unit/training", "tests/unit/commands/test_preparation.py"),
    "digits.training.state": ("tests/unit/training", "tests/integration/test_loop.py"),
    "digits.training.finish": ("tests/unit/training", "tests/integration/test_training.py"),
    "digits.training.loop": ("tests/integration/test_loop.py",),
    "digits.training.batch_parts": ("tests/integration/test_loop.py",),
    "digits.training.trainable": ("tests/integration/test_loop.py",),
}
"""Modules of which a sample is drawn, and their tests."""
SEED, SIZE = 0, 300
"""Of the sample."""
LIBRARIES = (
    "numpy",
    "pyarrow.fs",
    "PIL.Image",
    "hypothesis",
    "fastapi.testclient",
    "cv2",
    "onnxruntime",
    "yaml",
    "psutil",
)
"""Imported once, before the forks."""


class Changed(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from a tree instead of its file."""

    def __init__(self, module: str, tree: ast.Module) -> None:
        self.module, self.tree = module, tree

    def find_spec(self, name: str, path: object, target: ModuleType | None = None):
        if name == self.module:
            return importlib.util.spec_from_file_location(name, path_of(name), loader=self)
        return None

    def create_module(self, spec: object) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self.tree, str(path_of(self.module)), "exec"), module.__dict__)


def path_of(module: str) -> Path:
    return ROOT / f"{module.replace('.', '/')}.py"


def passes(module: str, tree: ast.Module, tests: Sequence[str], limit_s: float) -> bool:
    """Whether the tests pass with the module as the tree has it; one that takes longer than the limit fails."""

    def work() -> int:
        sys.meta_path.insert(0, Changed(module, tree))
        return int(pytest.main([*OPTIONS, *tests]))

    return in_fork(work, limit_s) == 0


def limit_of(seconds: float) -> float:
    """After how many seconds a mutant is given up whose tests, unchanged, take so many."""
    return 10 + SLOWER * seconds


class Outcomes:
    """What became of the mutants of one module, kept in a file as they are tried."""

    def __init__(self, module: str, tests: Sequence[str]) -> None:
        self.module, self.tests = module, tests
        self.source = path_of(module).read_text()
        files = sorted(file for test in tests for file in [ROOT / test, *(ROOT / test).rglob("*.py")] if file.is_file())
        self.key = hashlib.sha256("".join([self.source, *(each.read_text() for each in files)]).encode()).hexdigest()
        self.file = KEPT / f"{module}.json"
        self.survived = self.kept()
        self.limit_s = 0.0

    def try_mutant(self, mutant: Mutant) -> bool:
        """Whether a mutant survives its module's tests."""
        if mutant.name not in self.survived:
            if not self.limit_s:
                started = time.monotonic()
                assert passes(self.module, ast.parse(self.source), self.tests, 600), f"{self.tests} fail unchanged"
                self.limit_s = limit_of(time.monotonic() - started)
            self.note(mutant, passes(self.module, mutant.tree, self.tests, self.limit_s))
        return self.survived[mutant.name]

    def exchange(self, mutants: Sequence[Mutant]) -> None:
        """Try those mutants that need no new import of the module: quickly, since their tests are collected once."""
        untried = [mutant for mutant in mutants if mutant.name not in self.survived]
        if not untried:
            return
        with tempfile.TemporaryDirectory() as folder:

            def work() -> int:
                plugin = Exchanging(path_of(self.module), untried, self.note, limit_of)
                return int(pytest.main([*OPTIONS, "-s", f"--basetemp={folder}/tests", *self.tests], plugins=[plugin]))

            assert in_fork(work, math.inf) == 0, f"{self.tests} fail unchanged"
        self.survived = self.kept()

    def note(self, mutant: Mutant, survives: bool) -> None:
        """Keep what became of a mutant."""
        self.survived[mutant.name] = survives
        KEPT.mkdir(exist_ok=True)
        self.file.write_text(json.dumps({"key": self.key, "survived": self.survived}, indent=1))

    def kept(self) -> dict[str, bool]:
        """What is known of the module and tests as they are: whether each mutant survives, by name."""
        kept = json.loads(self.file.read_text()) if self.file.exists() else {}
        return kept["survived"] if kept.get("key") == self.key else {}


def equivalent(module: str) -> dict[str, str]:
    """Names of a module's mutants that behave as the original, with the reasons."""
    return json.loads(EQUIVALENT.read_text()).get(module, {})


def survivors(module: str, tests: Sequence[str]) -> tuple[list[Mutant], int]:
    """The mutants of a module that its tests do not notice, but for equivalent ones, and how many there are in all."""
    outcomes = Outcomes(module, tests)
    mutants = [mutant for mutant in mutants_of(outcomes.source) if mutant.name not in equivalent(module)]
    outcomes.exchange(mutants)
    return [mutant for mutant in mutants if outcomes.try_mutant(mutant)], len(mutants)


def sample(seed: int, size: int) -> list[tuple[str, Mutant]]:
    """Mutants drawn from all of SAMPLED, each as probable as any other, by module."""
    drawn = random.Random(seed).sample(everything(), size)
    return sorted(drawn, key=lambda one: one[0])


def everything() -> list[tuple[str, Mutant]]:
    """All mutants of SAMPLED, by module."""
    return [(name, mutant) for name in SAMPLED for mutant in mutants_of(path_of(name).read_text())]


def sample_survivors(seed: int, size: int) -> list[tuple[str, Mutant]]:
    """Those of a sample that the tests do not notice."""
    drawn = sample(seed, size)
    outcomes = {module: Outcomes(module, SAMPLED[module]) for module, _ in drawn}
    for module, each in outcomes.items():
        each.exchange([mutant for name, mutant in drawn if name == module])
    return [(module, mutant) for module, mutant in drawn if outcomes[module].try_mutant(mutant)]


def main(arguments: Sequence[str]) -> None:
    """Print what survives of some modules, of all guards, or of the sample, and at the end the same as JSON."""
    for name in LIBRARIES:
        importlib.import_module(name)
    found: dict[str, list[str]] = {}
    sampled = list(arguments[:1]) == ["sample"]
    if sampled:
        for module, mutant in sample_survivors(SEED, int([*arguments, SIZE][1])):
            found.setdefault(module, []).append(mutant.name)
            print(f"{module}, line {mutant.line}: {mutant.name}", flush=True)
    for module in [] if sampled else arguments or GUARDS:
        survived, total = survivors(module, GUARDS.get(module) or SAMPLED[module])
        found[module] = [mutant.name for mutant in survived]
        print(f"{module}: {len(survived)} of {total} mutants survive", flush=True)
        for mutant in survived:
            print(f"  line {mutant.line}: {mutant.name}", flush=True)
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
