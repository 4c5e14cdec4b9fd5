#!/usr/bin/env python
"""Measures one worker's step and draws how an epoch's time would go with 1 to 256 workers, beside runs that were timed.

A step is measured in seconds of one core, so a busy machine does not spoil it.
"""

import itertools
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

if __name__ == "__main__":
    from digits import stopping

    stopping.listen()  # before the imports below, which take seconds

import numpy as np

from digits.benchmarks import scaling, scaling_figures
from digits.benchmarks.scaling import ETHERNET_10G, NUM_WORKERS, WorkerSpeed, Workload
from digits.commands.console import import_tensorflow, run_job, show_table
from digits.config import IMAGE_SIZE, NUM_CLASSES, RECIPES, Architecture, Recipe, TrainingConfig
from digits.data.batches import Columns
from digits.models import checkpoints
from digits.storage import Storage

IMAGES = 112_000
"""Training digits of an epoch of MNIST: 80 % of 70,000, with inverted copies."""
STRETCHES = 20
"""Parts of an epoch that are timed one by one, see digits.training.loop."""


@dataclass(frozen=True, kw_only=True)
class ScaleSettings:
    """Command line of jobs/scale.py."""

    architectures: tuple[str, ...] = tuple(RECIPES)
    """Networks to measure, by the names of their recipes."""
    batch_sizes: tuple[int, ...] = (8, 32, 128, 512)
    """Digits in a worker's part of a batch."""
    checkpoints: tuple[str, ...] = ()
    """Finished checkpoints whose epochs are drawn as measured, by the number of workers that trained them."""
    output: str = "runs/scaling"
    """Folder for scaling.png."""


def step_seconds(architecture: Architecture, batch_size: int) -> float:
    """Seconds of one core for a training step of one worker: the median over parts of an epoch of random digits."""
    from digits.training.loop import WorkerDigits, fit

    steps = STRETCHES * max(1, min(5, 128 // batch_size))
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (steps * batch_size, IMAGE_SIZE, IMAGE_SIZE), np.uint8)
    digits = images, rng.integers(0, NUM_CLASSES, len(images))
    training = TrainingConfig(epochs=1, global_batch_size=batch_size)
    ticks: list[float] = []
    fit(
        Recipe(architecture=architecture, training=training),
        Columns.of(len(images), batch_size, inverted_copies=False),
        WorkerDigits(epochs=[digits], validation=(images[:1], digits[1][:1])),
        report=lambda state: None,
        progress=lambda epoch, fraction: ticks.append(time.process_time()),
    )
    # The first part compiles the graph; its end is where the clock starts.
    return statistics.median(end - start for start, end in itertools.pairwise(ticks)) / (steps / STRETCHES)


def measured_epochs(paths: tuple[str, ...]) -> dict[str, dict[int, float]]:
    """Seconds of the fastest epoch of training: network -> number of workers -> seconds."""
    measured: dict[str, dict[int, float]] = {}
    for path in paths:
        record = checkpoints.load(path).record
        seconds = min(epoch["train_seconds"] for epoch in record["history"])
        of_network = measured.setdefault(record["architecture_name"], {})
        workers = record["training"]["num_workers"]
        of_network[workers] = min(seconds, of_network.get(workers, seconds))
    return measured


def scale(settings: ScaleSettings) -> dict[str, Any]:
    """Measure, draw and print; returns the job's JSON document."""
    import_tensorflow()
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    workloads, batches, rows, document = {}, {}, [], {}
    for name in settings.architectures:
        architecture, batch = RECIPES[name].architecture, RECIPES[name].training.global_batch_size
        times = [step_seconds(architecture, size) for size in settings.batch_sizes]
        speed: WorkerSpeed = scaling.fit_speed(settings.batch_sizes, times)
        workload = Workload(images=IMAGES, gradient_bytes=scaling.gradient_bytes(architecture), speed=speed)
        workloads[name], batches[name] = workload, batch
        epochs = {n: scaling.epoch_s(workload, n, batch, ETHERNET_10G) for n in NUM_WORKERS}
        last = scaling.stops_paying(workload, batch, ETHERNET_10G)
        document[name] = {
            "step_ms": {size: 1e3 * seconds for size, seconds in zip(settings.batch_sizes, times, strict=True)},
            "fixed_ms": 1e3 * speed.step_s,
            "image_ms": 1e3 * speed.image_s,
            "gradient_bytes": workload.gradient_bytes,
            "epoch_s": epochs,
            "stops_paying": last,
        }
        rows.append(
            [name, f"{1e3 * speed.step_s:.2f}", f"{1e3 * speed.image_s:.3f}", f"{workload.gradient_bytes:,}"]
            + [f"{epochs[n]:,.1f}" for n in (1, 2, 8, 64, 256)]
            + [str(last)]
        )
    columns = ["network", "ms a step", "ms a digit", "bytes summed"]
    columns += [f"s on {n}" for n in (1, 2, 8, 64, 256)] + ["pays until"]
    show_table("An epoch on workers of one core each, 10 Gbit/s between them (modelled)", columns, rows)
    picture = scaling_figures.epoch_time(
        workloads,
        batches,
        ETHERNET_10G,
        measured=measured_epochs(settings.checkpoints),
        title="An epoch of 112,000 digits; workers of one core each, 10 Gbit/s between them",
    )
    (Storage.open(settings.output) / "scaling.png").write_bytes(picture)
    return {"networks": document, "picture": f"{settings.output}/scaling.png"}


if __name__ == "__main__":
    run_job(ScaleSettings, scale, __doc__)
