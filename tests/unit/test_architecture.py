"""The rooms of the house, read from the import statements of all files: who may import whom, and what follows from it.

Imports inside functions count, and so does what an imported module imports in turn.
"""

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("digits", "jobs", "serve")
ORDER: tuple[tuple[str, ...], ...] = (
    ("digits",),
    ("digits.errors", "digits.stopping", "digits.interruptible", "digits.uris"),
    ("digits.config", "digits.heic"),
    ("digits.images", "digits.storage", "digits.tokens", "digits.machine"),
    (
        "digits.cluster",
        "digits.default_storage",
        "digits.lease",
        "digits.preprocessing",
        "digits.augmentation",
        "digits.models",
        "digits.sheet",
    ),
    ("digits.data",),
    ("digits.reading",),
    ("digits.evaluation",),
    ("digits.training",),
    ("digits.tuning",),
    ("digits.reporting",),
    ("digits.service", "digits.commands"),
    ("digits.benchmarks", "digits.diagnostics"),
    ("digits.__main__",),
    ("jobs", "serve"),
)
"""Floors, lowest first: a module imports from its own package and from lower floors; rooms of one floor never meet."""
MAY_IMPORT = {
    "ray": {
        "digits.cluster",
        "digits.data",
        "digits.training",
        "digits.tuning",
        "digits.commands",
        "digits.service.deployment",
        "digits.benchmarks.sides",
        "digits.diagnostics",
        "digits.service.start",
    },
    "tensorflow": {
        "digits.models.layers",
        "digits.training.batch_parts",
        "digits.training.loop",
        "digits.training.reader",
        "digits.training.trainable",
        "digits.benchmarks.sides",
        "digits.benchmarks.scaling",
        "digits.diagnostics.worker",
    },
    "keras": {
        "digits.models.network",
        "digits.models.page_network",
        "digits.models.layers",
        "digits.training.loop",
        "digits.training.reader",
        "digits.training.trainable",
        "digits.benchmarks.sides",
    },
    "fastapi": {"digits.service", "digits.benchmarks.sides"},
    "matplotlib": {"digits.reporting", "digits.benchmarks.growth", "digits.sheet.printed"},
    "onnxruntime": {"digits.models.inference", "digits.reading.detect"},
    "tyro": {"digits.commands"},
    "jinja2": {"digits.reporting.page"},
    "psutil": {"digits.stopping", "digits.benchmarks", "digits.diagnostics.nodes"},
    "pillow_heif": {"digits.heic.child"},
    "geventhttpclient": {"digits.benchmarks.serving.load"},
}
"""Packages and modules that may import each framework directly."""
WITHOUT_TRAINING_FRAMEWORKS = (
    "digits.preprocessing",
    "digits.sheet",
    "digits.reading",
    "digits.evaluation",
    "digits.reporting",
    "digits.models.checkpoints",
    "digits.models.page_onnx",
    "digits.models.page_targets",
    "digits.models.inference",
    "digits.models.calibration",
    "digits.service",
    "serve",
)
"""What never reaches TensorFlow or Keras, not even through others."""
WITHOUT_RAY = (
    "digits.preprocessing",
    "digits.sheet",
    "digits.reading",
    "digits.evaluation",
    "digits.models",
    "digits.augmentation",
    "digits.service",
)
"""What never reaches Ray; of the service, only what deploys it does."""
DEPLOYS = {"digits.service.deployment", "digits.service.start"}
SHARED_BY_TRAINING_AND_EXAMINATION = {
    *("digits", "digits.errors", "digits.config", "digits.images"),
    *("digits.heic", "digits.heic.decoder", "digits.heic.child"),
}
"""All that the closures of augmentation and evaluation have in common, their own packages' `__init__` apart."""
SERVICE_NEEDS = (
    *("digits.errors", "digits.config", "digits.heic", "digits.images"),
    *("digits.machine", "digits.uris", "digits.storage", "digits.tokens"),
    "digits.default_storage",
    "digits.preprocessing",
    "digits.reading",
)
SERVICE_NEEDS_OF_MODELS = {
    f"digits.models{name}"
    for name in ("", ".calibration", ".checkpoints", ".registry", ".inference", ".digit_onnx", ".page_targets")
}

SERVICE_NEEDS_OF_SHEET = {f"digits.sheet{name}" for name in ("", ".layout", ".find", ".boxes")}
"""It cuts photos of the sheet up; the sheet to print lies beside the page as a file, so that nobody draws it there."""


def module_of(path: Path) -> str:
    """Dotted name of a file below the project's folder."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))}


@cache
def imports_of(module: str) -> frozenset[str]:
    """All that a module imports, anywhere in it: our modules by their full names, others by their package's name."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module} imports relatively"
            name = node.module or ""
            found |= {f"{name}.{alias.name}" if f"{name}.{alias.name}" in MODULES else name for alias in node.names}
    ours = {name for name in found if name.split(".")[0] in FOLDERS}
    assert ours <= set(MODULES), f"{module} imports {sorted(ours - set(MODULES))}"
    return frozenset(ours | {name.split(".")[0] for name in found - ours})


def closure_of(modules: set[str]) -> set[str]:
    """Modules and packages that are reached from some modules of ours, themselves and their packages included."""
    reached: set[str] = set()
    waiting = set(modules)
    while waiting:
        name = waiting.pop()
        reached.add(name)
        if name in MODULES:
            package = name.rpartition(".")[0]
            waiting |= ({package} if package else set()) | imports_of(name)
            waiting -= reached
    return reached


def inside(*rooms: str) -> set[str]:
    """Our modules that are, or lie inside, one of the rooms; a room that is not there fails."""
    found = {room: {m for m in MODULES if m == room or m.startswith(f"{room}.")} for room in rooms}
    assert all(found.values()), f"no such room: {[room for room, modules in found.items() if not modules]}"
    return set().union(*found.values())


def room_of(module: str) -> str:
    """The room of ORDER in which a module lies."""
    rooms = [room for floor in ORDER for room in floor if module == room or module.startswith(f"{room}.")]
    return max(rooms, key=len)


def test_every_room_is_on_a_floor():
    assert {room_of(module) for module in MODULES} == {room for floor in ORDER for room in floor}
    rooms = {module for module in MODULES if module.count(".") == 1 and module.startswith("digits.")}
    assert rooms <= {room for floor in ORDER for room in floor}


@pytest.mark.parametrize("module", MODULES)
def test_arrows_run_downwards_only(module):
    floor_of = {room: number for number, floor in enumerate(ORDER) for room in floor}
    room = room_of(module)
    for imported in imports_of(module) & set(MODULES):
        other = room_of(imported)
        assert other == room or floor_of[other] < floor_of[room], f"{module} imports {imported}"


def test_there_are_no_circles():
    for module in MODULES:
        assert module not in closure_of(set(imports_of(module))), f"{module} imports itself through others"


@pytest.mark.parametrize("framework", MAY_IMPORT)
def test_frameworks_stay_in_their_rooms(framework):
    users = {module for module in MODULES if framework in imports_of(module)}
    assert users <= inside(*MAY_IMPORT[framework])
    unused = [room for room in MAY_IMPORT[framework] if not users & inside(room)]
    assert not unused, f"{unused} may import {framework}, and do not"


@pytest.mark.parametrize("room", WITHOUT_TRAINING_FRAMEWORKS)
def test_what_serves_and_what_examines_reaches_no_training_framework(room):
    for module in inside(room):
        assert not closure_of({module}) & {"tensorflow", "keras"}, module


@pytest.mark.parametrize("room", WITHOUT_RAY)
def test_what_needs_no_cluster_does_not_reach_ray(room):
    for module in inside(room) - DEPLOYS:
        assert "ray" not in closure_of({module}), module


def test_training_and_examination_share_only_what_is_named():
    training, examination = closure_of(inside("digits.augmentation")), closure_of(inside("digits.evaluation"))
    assert {name for name in training & examination if name in MODULES} <= SHARED_BY_TRAINING_AND_EXAMINATION
    assert "digits.data.distorted" not in examination


def test_the_service_needs_only_what_reads_a_picture():
    for module in inside("digits.service"):
        needed = {name for name in closure_of({module}) if name in MODULES} - inside("digits.service") - {"digits"}
        assert needed <= inside(*SERVICE_NEEDS) | SERVICE_NEEDS_OF_MODELS | SERVICE_NEEDS_OF_SHEET, module


def test_keras_is_imported_as_keras():
    for module, path in MODULES.items():
        assert "tf.keras" not in path.read_text(), module
