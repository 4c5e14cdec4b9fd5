"""The rooms of the house: which module may import which, read from the import statements."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FRAMEWORKS = {
    "ray": {
        "data",
        "epochs",
        "photo_digits",
        "tensorflow_backend",
        "training",
        "training_worker",
        "trial_fitting",
        "trials",
        "tuning",
    },
    "keras": {"models", "fast_layers", "fitting"},
    "tensorflow": {"cores", "fast_layers", "fitting", "training_worker", "trial_fitting"},
    "fastapi": set(),
    "matplotlib": {"plots", "factor_plots", "tuning_plots", "scaling_plots"},
    "onnxruntime": {"inference"},
}
"""Which modules of digits may import each framework."""


def imports_of(path):
    """Top-level names and digits' own modules that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def packages_of(path):
    return {name.split(".")[0] for name in imports_of(path)}


@pytest.mark.parametrize("path", sorted((ROOT / "digits").glob("*.py")), ids=lambda path: path.name)
def test_the_library_imports_neither_jobs_nor_serve_and_keeps_frameworks_in_their_rooms(path):
    packages = packages_of(path)
    assert not packages & {"jobs", "serve", "tyro"}
    for framework, rooms in FRAMEWORKS.items():
        assert framework not in packages or path.stem in rooms, f"{path.name} imports {framework}"


def test_jobs_and_service_do_not_import_each_other():
    for path in (ROOT / "jobs").glob("*.py"):
        assert "serve" not in packages_of(path), path.name
    for path in (ROOT / "serve").glob("*.py"):
        assert "jobs" not in packages_of(path), path.name


def test_the_service_needs_no_training_framework():
    for path in (ROOT / "serve").glob("*.py"):
        assert not packages_of(path) & {"tensorflow", "keras"}, path.name


def test_what_varies_in_training_shares_nothing_with_what_is_measured():
    for trained in ("augmentation", "styles"):
        measured = {"corruptions", "simulation", "photo_score", "factors", "handwriting", "drawing"}
        assert not imports_of(ROOT / "digits" / f"{trained}.py") & {f"digits.{name}" for name in measured}
    for measured in ("corruptions", "simulation", "photo_score", "handwriting", "drawing"):
        path = ROOT / "digits" / f"{measured}.py"
        assert not imports_of(path) & {"digits.augmentation", "digits.styles"}


def test_keras_is_imported_as_keras():
    for folder in ("digits", "jobs", "serve"):
        for path in (ROOT / folder).glob("*.py"):
            assert "tf.keras" not in path.read_text(), path.name
