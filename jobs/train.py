#!/usr/bin/env python
"""Trains networks to read handwritten digits, on Ray, and registers the best one.

Without flags: the recommended recipe on the shipped MNIST, on all that this machine or cluster has.
The article's experiment: --architecture both.
"""

import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

if __name__ == "__main__":
    from digits import stopping

    stopping.listen()  # before the imports below, which take seconds

from tyro.conf import FlagCreatePairsOff

from digits import cluster, stopping
from digits.commands.console import run_job
from digits.commands.training_report import TrainingProgress, report
from digits.config import RECIPES, DataConfig, Recipe, check_seeds
from digits.data.files import DigitFiles, find_digits, find_same_digits
from digits.data.read import read_without_ray
from digits.data.split import split_rows
from digits.errors import require
from digits.storage import Storage
from digits.training import driver
from digits.training.finish import finish
from digits.training.resources import choose_workers
from digits.training.runs import Run
from digits.training.score_photos import start_photo_digits


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """Command line of jobs/train.py."""

    architecture: Literal["recommended", "baseline", "improved", "both"] = "recommended"
    """Which network, each with its own recipe; both: the article's two, baseline and improved."""
    epochs: int | None = None
    """Passes over the training digits; left out, as each recipe says."""
    seeds: tuple[int, ...] = (0,)
    """Each network is trained once with each seed."""
    learning_rate: float | None = None
    """Adam's step size; left out, as each recipe says."""
    batch_size: int | None = None
    """Digits in one step, over all workers together; left out, as each recipe says."""
    distort: FlagCreatePairsOff[bool] = False
    """Distort the training digits anew in every epoch, also where the recipe does not."""
    no_distort: FlagCreatePairsOff[bool] = False
    """Train on the digits as they are, also where the recipe distorts them."""
    num_workers: int | tuple[int, int] | None = None
    """Training workers, or the least and the most of them; left out, one for each GPU, or else for each node."""
    on_demand_gpus: bool = False
    """Whether the cluster is to start GPU nodes for the workers, which waits for the first of them."""
    storage_path: str = "runs"
    """Folder or bucket for runs and for best.json."""
    data: str | None = None
    """Folder or bucket of Parquet files with the columns image and label; left out, the shipped MNIST."""
    protocol: Literal["article", "literature"] = "article"
    """article: 80 % train and 20 % validate; literature: the original 60,000 train and 10,000 validate."""
    resume: str | None = None
    """Name of an interrupted run in the storage path that is to go on; it keeps its own settings."""


def recipes_of(settings: TrainSettings) -> dict[str, Recipe]:
    """The recipes that the command line names, with what it changes in them."""
    names = ("baseline", "improved") if settings.architecture == "both" else (settings.architecture,)
    changes = {
        "epochs": settings.epochs,
        "learning_rate": settings.learning_rate,
        "global_batch_size": settings.batch_size,
        "distort": True if settings.distort else False if settings.no_distort else None,
    }
    changes = {name: value for name, value in changes.items() if value is not None}
    return {name: replace(RECIPES[name], training=replace(RECIPES[name].training, **changes)) for name in names}


def prepare(settings: TrainSettings) -> tuple[Run, Storage, DigitFiles]:
    """Everything that can be checked before Ray starts: settings, data, storage; returns run, its folder, data."""
    storage = Storage.open(settings.storage_path)
    if settings.resume:
        run_dir = storage / Path(settings.resume).name
        run = Run.read(run_dir)
        files = find_same_digits(run.data.path, run.fingerprint, run_dir.name)
    else:
        check_seeds(settings.seeds)
        require(
            not (settings.distort and settings.no_distort),
            "--distort and --no-distort",
            "one of them at most",
            "leave both out to do as the recipe says",
        )
        recipes = recipes_of(settings)
        config = DataConfig(path=settings.data, protocol=settings.protocol)
        files = find_digits(config.path)
        run = Run.of(recipes, settings.seeds, config, files.fingerprint)
        run_dir = storage / time.strftime(f"train-{settings.architecture}-%Y%m%d-%H%M%S")
    storage.check_writable()
    return run, run_dir, files


def train(settings: TrainSettings) -> dict[str, Any]:
    """Train what the command line names; returns the job's JSON document."""
    started = time.perf_counter()
    run, run_dir, files = prepare(settings)
    validates = split_rows(files, run.data)
    images, labels = read_without_ray(files, validates, inverted_copies=run.data.inverted_copies)
    num_digits = files.num_digits * (2 if run.data.inverted_copies else 1)
    print(f"{num_digits:,} digits, {len(labels):,} of them validate | run {run_dir}", flush=True)
    progress = TrainingProgress(run)
    stopping.reached(lambda: progress.reached(run_dir.name))

    resources, num_nodes = cluster.connect()
    cluster.check_shared(run_dir.parent, files.local_paths)
    workers = choose_workers(settings.num_workers, resources, num_nodes, on_demand_gpus=settings.on_demand_gpus)
    photo_digits = start_photo_digits(files, validates)
    driver.train(run, run_dir, workers, files=files, photo_digits=photo_digits, on_event=progress)
    finished = [finish(run_dir, network, images, labels) for network in run.networks]
    return report(run_dir.parent, run_dir, finished, images, started)


if __name__ == "__main__":
    run_job(TrainSettings, train, __doc__)
