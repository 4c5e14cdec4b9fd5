"""The comparison that jobs/evaluate.py makes: other networks beside the judged one, photos simulated on Ray."""

import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
import ray

from digits.commands.console import ProgressLine, show_table
from digits.errors import require
from digits.evaluation.comparison import ComparedNetwork, Comparison, compare
from digits.evaluation.factors import FACTORS, PATHS, LevelImages, join_parts, level_images, measure_factors
from digits.images import Digits
from digits.machine import usable_cores
from digits.models import checkpoints
from digits.models.checkpoints import RECORD, Checkpoint
from digits.models.inference import build_classifier
from digits.models.registry import validated_on
from digits.reporting.page import percent
from digits.storage import Storage
from digits.training.runs import Run

EVERYDAY_PHOTOS = 1_000
"""Simulated photos under everyday conditions, on which networks are compared."""
PHOTOS_PER_TASK = 100
"""Simulated photos that one task makes: one or two seconds of work."""
CORRUPTED_DIGITS = 10_000
"""Validation digits that are corrupted, at most, for each family."""
SEED = 0
"""Seed of the simulated photos and the corruptions: the same for all networks in every evaluation."""


@dataclass(frozen=True, kw_only=True)
class Compared:
    """Checkpoints of one network, trained in one way with several seeds."""

    name: str
    checkpoints: tuple[Checkpoint, ...]


def load_compared(judged: Checkpoint, paths: Sequence[str]) -> list[Compared]:
    """The judged checkpoint and further ones, grouped, each once; `paths` are folders of checkpoints or of runs.

    ConfigurationError if one of them was validated on other digits: the judged one may have been trained on them.
    """
    loaded = {identity_of(judged): judged}
    for path in paths:
        for each in checkpoints_in(path):
            checkpoint = checkpoints.load(each)
            loaded.setdefault(identity_of(checkpoint), checkpoint)
    groups: dict[str, list[Checkpoint]] = {}
    for checkpoint in loaded.values():
        require(
            validated_on(checkpoint.record["data"]) == validated_on(judged.record["data"]),
            f"{checkpoint.path} was trained on other digits than {judged.path}, or on another split of them",
            "checkpoints whose validation digits are the same",
            "train both with the same data, protocol and split",
        )
        training = {
            key: value for key, value in checkpoint.record["training"].items() if key not in ("seed", "num_workers")
        }
        way = json.dumps([checkpoint.architecture.to_dict(), training], sort_keys=True)
        groups.setdefault(way, []).append(checkpoint)
    compared: dict[str, Compared] = {}
    for group in sorted(groups.values(), key=lambda group: (is_distorted(group[0]), group[0].record["parameters"])):
        name = group[0].record["architecture_name"] + (", distorted" if is_distorted(group[0]) else "")
        while name in compared:
            name += "'"
        compared[name] = Compared(name=name, checkpoints=tuple(group))
    return list(compared.values())


def identity_of(checkpoint: Checkpoint) -> tuple[str, str]:
    """What is the same for one trained network, by whatever path it is named, and for copies of it."""
    return checkpoint.name, checkpoint.record["sha256"][checkpoints.WEIGHTS]


def checkpoints_in(path: str) -> list[Storage]:
    """The checkpoint at a path, or the finished ones of the run at it."""
    folder = Storage.open(path)
    if (folder / RECORD).exists():
        return [folder]
    return [folder / network.name for network in Run.read(folder).networks]


def is_distorted(checkpoint: Checkpoint) -> bool:
    """Whether the training digits of a checkpoint were distorted."""
    return bool(checkpoint.record["training"]["distort"])


def build_network(compared: Compared) -> ComparedNetwork:
    """The prediction functions of a group of checkpoints."""
    first = compared.checkpoints[0]
    return ComparedNetwork(
        name=compared.name,
        architecture=first.record["architecture_name"],
        distorted=is_distorted(first),
        parameters=first.record["parameters"],
        trainings=tuple(build_classifier(checkpoint).probabilities for checkpoint in compared.checkpoints),
    )


def gather(
    compared: Sequence[Compared],
    validation: Digits,
    originals: Digits,
    photos: dict[str, Digits] | None,
    photos_per_level: int,
) -> Comparison:
    """Simulate photos, corrupt digits, and let every network read everything.

    `originals` are the validation digits without inverted copies, light on black; `photos` those of a folder by path.
    """
    order = np.random.default_rng(SEED).permutation(len(originals[1]))
    images, labels = originals[0][order], originals[1][order]
    networks = [build_network(one) for one in compared]
    levels = simulate_photos(images, labels, photos_per_level)
    results = measure_factors(levels, {network.name: network.trainings for network in networks})
    return compare(
        networks,
        validation=validation,
        corruptible=(images[:CORRUPTED_DIGITS], labels[:CORRUPTED_DIGITS]),
        factors=results,
        photos=photos,
        seed=SEED,
    )


def simulate_photos(images: np.ndarray, labels: np.ndarray, photos_per_level: int) -> list[LevelImages]:
    """Every level of every factor, photographed by Ray tasks."""
    photograph = ray.remote(level_images)
    tasks = []
    for factor in FACTORS.values():
        count = EVERYDAY_PHOTOS if factor.name == "everyday" else photos_per_level
        for start in range(0, min(count, len(labels)), PHOTOS_PER_TASK):
            rows = slice(start, min(start + PHOTOS_PER_TASK, count))
            digits = ray.put(images[rows]), ray.put(labels[rows])
            # A seed for each task: styles follow from the seed and a digit's place in its task, and are to differ.
            seed = SEED + start if factor.styles else SEED
            tasks += [photograph.remote(factor, level, *digits, seed) for level in range(len(factor.levels))]
    waiting = tasks
    with ProgressLine() as line:
        while waiting:
            _, waiting = ray.wait(waiting)
            line.show("simulated photos", 1 - len(waiting) / len(tasks))
    return join_parts(ray.get(tasks))


def show(comparison: Comparison) -> None:
    """Print what every network reads, mean and standard deviation over its trainings."""
    measured = {"simulated": comparison.everyday, "photos": comparison.photos}
    where = {name: accuracy for name, accuracy in measured.items() if accuracy is not None}
    rows = [
        [
            network.name,
            str(len(network.trainings)),
            percent(comparison.validation[network.name]),
            *(percent(accuracy[network.name, path]) for accuracy in where.values() for path in PATHS),
            percent(comparison.corruptions[network.name].mean(axis=1)),
        ]
        for network in comparison.networks
    ]
    columns = [f"{name} {path}" for name in where for path in PATHS]
    show_table("Networks and paths", ["network", "trainings", "validation", *columns, "MNIST-C"], rows)


def figures_of(comparison: Comparison, network: str) -> dict[str, float]:
    """Figures of one network for the JSON document: means over its trainings, on simulated and corrupted digits."""
    everyday = comparison.everyday
    assert everyday is not None, "the report measures everyday photos"
    return {
        **{f"simulated_{path}": float(everyday[network, path].mean()) for path in PATHS},
        "corruptions": float(comparison.corruptions[network].mean()),
    }


def facts_of(judged: Checkpoint, comparison: Comparison, photos_per_level: int, num_originals: int) -> list[str]:
    """Lines that say what the figures of a report rest on."""
    packages = ("digits", "numpy", "onnxruntime", "opencv-python-headless")
    return [
        f"Judged: {judged.name}, {judged.record['parameters']:,} parameters. "
        f"{sum(len(network.trainings) for network in comparison.networks)} trained networks are compared.",
        f"{min(photos_per_level, num_originals):,} simulated photos a level, "
        f"{min(EVERYDAY_PHOTOS, num_originals):,} under everyday conditions, and "
        f"{min(CORRUPTED_DIGITS, num_originals):,} corrupted digits a family, all of validation digits, seed {SEED}.",
        f"{usable_cores()} x {platform.machine()}, Python {platform.python_version()}, "
        + ", ".join(f"{package} {version(package)}" for package in packages),
    ]
