"""What jobs/scale.py does: measures one worker's step, models an epoch on many workers, and draws both.

A step is measured in seconds of one core, so a busy machine does not spoil it.
"""

import itertools
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from digits.benchmarks.scaling import figures, model
from digits.benchmarks.scaling.model import ETHERNET_10G, NUM_WORKERS, Workload
from digits.commands.console import import_tensorflow, show_table
from digits.config import IMAGE_SIZE, NUM_CLASSES, RECIPES, Architecture, Recipe, TrainingConfig
from digits.data.batches import Columns
from digits.errors import require
from digits.models import checkpoints
from digits.storage import Storage

IMAGES = 112_000
"""Training digits of an epoch of MNIST: 80 % of 70,000, with inverted copies."""
STRETCHES = 20
"""Stretches of an epoch that are timed one by one, see digits.training.loop."""
SHOWN_WORKERS = (1, 2, 8, 64, 256)
"""Numbers of workers that have a column in the table."""


@dataclass(frozen=True, kw_only=True)
class ScaleSettings:
    """Measures one worker's step and draws how an epoch would go with 1 to 256 workers, beside runs that were timed.

    A step is measured in seconds of one core, so a busy machine does not spoil it.
    """

    architectures: tuple[str, ...] = tuple(RECIPES)
    """Networks to measure, by the names of their recipes."""
    batch_sizes: tuple[int, ...] = (8, 32, 128, 512)
    """Digits in a worker's share of a batch."""
    checkpoints: tuple[str, ...] = ()
    """Finished checkpoints: how long their epochs took is drawn as dots, by the number of their workers."""
    output: str = "runs/scaling"
    """Folder for scaling.png."""

    def check(self) -> None:
        """Raise ConfigurationError for what cannot be measured."""
        unknown = sorted(set(self.architectures) - set(RECIPES))
        require(not unknown, f"architectures {unknown}", f"some of {', '.join(RECIPES)}", "correct the names")
        require(
            len(set(self.batch_sizes)) >= 2 and min(self.batch_sizes) >= 1,
            f"batch sizes {self.batch_sizes}",
            "at least two different ones, each of at least 1 digit",
            "leave them out, or give for instance 8 32 128 512",
        )


def use_one_core() -> None:
    """Import TensorFlow and let it compute on one core only."""
    import_tensorflow()
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def measure_step(architecture: Architecture, batch_size: int) -> float:
    """Seconds of one core for a training step of one worker: the median over stretches of an epoch of random digits."""
    from digits.training.loop import WorkerDigits, fit

    steps = STRETCHES * max(1, min(5, 128 // batch_size))
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (steps * batch_size, IMAGE_SIZE, IMAGE_SIZE), np.uint8)
    digits = images, rng.integers(0, NUM_CLASSES, len(images))
    few = images[:1], digits[1][:1]
    training = TrainingConfig(epochs=1, global_batch_size=batch_size)
    ticks: list[float] = []
    fit(
        Recipe(architecture=architecture, training=training),
        Columns.of(len(images), batch_size, inverted_copies=False),
        WorkerDigits(epochs=[digits], validation=few, photos=lambda: few),
        report=lambda state: None,
        progress=lambda epoch, fraction: ticks.append(time.process_time()),
    )
    # The first stretch compiles the graph; its end is where the clock starts.
    return statistics.median(end - start for start, end in itertools.pairwise(ticks)) / (steps / STRETCHES)


def read_measured_epochs(paths: Sequence[str]) -> dict[str, dict[int, float]]:
    """Seconds of the fastest epoch of finished trainings: network -> number of workers -> seconds."""
    measured: dict[str, dict[int, float]] = {}
    for path in paths:
        record = checkpoints.load(path).record
        seconds = min(epoch["train_seconds"] for epoch in record["history"])
        by_workers = measured.setdefault(record["architecture_name"], {})
        workers = record["training"]["num_workers"]
        by_workers[workers] = min(seconds, by_workers.get(workers, seconds))
    return measured


@dataclass(frozen=True, kw_only=True)
class ScaledNetwork:
    """One network: what was measured, and what the model makes of it."""

    name: str
    global_batch_size: int
    step_s: dict[int, float]
    """Measured seconds of a step, by the digits in it."""
    workload: Workload

    @classmethod
    def measure(cls, name: str, batch_sizes: Sequence[int]) -> "ScaledNetwork":
        """Measure the steps of a network, by the name of its recipe."""
        recipe = RECIPES[name]
        step_s = {size: measure_step(recipe.architecture, size) for size in batch_sizes}
        speed = model.fit_speed(list(step_s), list(step_s.values()))
        gradient_bytes = model.gradient_bytes(recipe.architecture)
        workload = Workload(images=IMAGES, gradient_bytes=gradient_bytes, speed=speed)
        return cls(name=name, global_batch_size=recipe.training.global_batch_size, step_s=step_s, workload=workload)

    @property
    def epoch_s(self) -> dict[int, float]:
        """Modelled seconds of an epoch, by the number of workers."""
        return {n: model.epoch_s(self.workload, n, self.global_batch_size, ETHERNET_10G) for n in NUM_WORKERS}

    @property
    def stops_paying(self) -> int:
        """The most workers that are worth their cost."""
        return model.stops_paying(self.workload, self.global_batch_size, ETHERNET_10G)

    def row(self) -> list[str]:
        """The network in the job's table."""
        speed, epochs = self.workload.speed, self.epoch_s
        measured = [f"{1e3 * speed.step_s:.2f}", f"{1e3 * speed.image_s:.3f}", f"{self.workload.gradient_bytes:,}"]
        return [self.name, *measured, *(f"{epochs[n]:,.1f}" for n in SHOWN_WORKERS), str(self.stops_paying)]

    def document(self) -> dict[str, Any]:
        """The network in the job's JSON."""
        return {
            "step_ms": {size: 1e3 * seconds for size, seconds in self.step_s.items()},
            "fixed_ms": 1e3 * self.workload.speed.step_s,
            "image_ms": 1e3 * self.workload.speed.image_s,
            "gradient_bytes": self.workload.gradient_bytes,
            "epoch_s": self.epoch_s,
            "stops_paying": self.stops_paying,
        }


def scale(settings: ScaleSettings) -> dict[str, Any]:
    """Measure, draw and print; returns the job's JSON document."""
    settings.check()
    measured_epochs = read_measured_epochs(settings.checkpoints)
    use_one_core()
    networks = [ScaledNetwork.measure(name, settings.batch_sizes) for name in settings.architectures]
    show_table(
        "An epoch on workers of one core each, 10 Gbit/s between them (modelled)",
        ["network", "ms a step", "ms a digit", "bytes summed", *(f"s on {n}" for n in SHOWN_WORKERS), "pays until"],
        [network.row() for network in networks],
    )
    picture = figures.epoch_time(
        {network.name: network.workload for network in networks},
        {network.name: network.global_batch_size for network in networks},
        ETHERNET_10G,
        measured=measured_epochs,
        title="An epoch of 112,000 digits; workers of one core each, 10 Gbit/s between them",
    )
    (Storage.open(settings.output) / "scaling.png").write_bytes(picture)
    return {
        "networks": {network.name: network.document() for network in networks},
        "picture": f"{settings.output}/scaling.png",
    }
