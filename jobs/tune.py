#!/usr/bin/env python
"""Searches filters, dropout rates and learning rate for the network that reads people's photos best, on Ray Tune.

The article's two networks are always tried first. Poor trials are stopped early; the winner is trained in full, as
jobs/train.py does, and registered if it beats the best checkpoint so far. Ctrl-C reports the best network so far;
--resume goes on with an interrupted search.
"""

import logging
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import ray
import tyro

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

if __name__ == "__main__":
    from digits import stopping

    stopping.listen()  # before the imports below, which take seconds

from digits import cluster, stopping
from digits.commands.console import Interrupted, run_job
from digits.commands.training_report import TrainingProgress, report, score_of
from digits.commands.tuning_report import (
    SearchProgress,
    best_trial,
    document_of,
    report_trials,
    rows_of,
    show_trials,
    write_metrics,
)
from digits.config import RECIPES, DataConfig, check_seeds
from digits.data.files import DigitFiles, find_digits, find_same_digits
from digits.data.read import read_without_ray
from digits.data.split import split_rows
from digits.errors import TrainingError
from digits.storage import Storage
from digits.training import driver
from digits.training.finish import finish
from digits.training.resources import Workers, choose_workers
from digits.training.runs import Run
from digits.training.score_photos import start_photo_digits
from digits.tuning import searches
from digits.tuning.driver import search_networks
from digits.tuning.searches import Search, TrialResult, ranked
from digits.tuning.space import Candidate, SearchSpace, TuningConfig

WINNER = "tuned"
"""What the winner's architecture is called in its checkpoints."""


@dataclass(frozen=True, kw_only=True)
class TuneSettings:
    """Command line of jobs/tune.py."""

    tuning: Annotated[TuningConfig, tyro.conf.arg(name="")] = field(default_factory=TuningConfig)
    space: Annotated[SearchSpace, tyro.conf.arg(name="")] = field(default_factory=SearchSpace)
    seeds: tuple[int, ...] = (0,)
    """The winner is trained in full once with each seed."""
    epochs: int | None = None
    """Epochs of the winner's full training; left out, as the recommended recipe says."""
    batch_size: int | None = None
    """Digits in one step, in trials and full training; left out, as the recommended recipe says."""
    distort: bool | None = None
    """Whether training digits are distorted anew in every epoch; left out, as the recommended recipe says."""
    num_workers: int | tuple[int, int] | None = None
    """Workers of the full training, or the least and the most of them; left out, one for each GPU, or each node."""
    storage_path: str = "runs"
    """Folder or bucket for runs and for best.json."""
    data: str | None = None
    """Folder or bucket of Parquet files with the columns image and label; left out, the shipped MNIST."""
    protocol: Literal["article", "literature"] = "article"
    """article: 80 % train and 20 % validate; literature: the original 60,000 train and 10,000 validate."""
    resume: str | None = None
    """Name of an interrupted search in the storage path that is to go on; it keeps its own settings."""


def prepare(settings: TuneSettings) -> tuple[Search, Storage, DigitFiles]:
    """Everything that can be checked before Ray starts; returns the search, its folder and the data."""
    storage = Storage.open(settings.storage_path)
    if settings.resume:
        run_dir = storage / Path(settings.resume).name
        search = Search.read(run_dir)
        files = find_same_digits(search.data.path, search.fingerprint, run_dir.name)
    else:
        check_seeds(settings.seeds)
        changes = {
            "epochs": settings.epochs,
            "global_batch_size": settings.batch_size,
            "distort": settings.distort,
        }
        changes = {name: value for name, value in changes.items() if value is not None}
        config = DataConfig(path=settings.data, protocol=settings.protocol)
        files = find_digits(config.path)
        search = Search(
            space=settings.space,
            tuning=settings.tuning,
            training=replace(RECIPES["recommended"].training, **changes),
            seeds=settings.seeds,
            data=config,
            fingerprint=files.fingerprint,
        )
        run_dir = storage / time.strftime("tune-%Y%m%d-%H%M%S")
    storage.check_writable()
    return search, run_dir, files


def tune(settings: TuneSettings) -> dict[str, Any]:
    """Search as the command line says and train the winner; returns the job's JSON document."""
    started = time.perf_counter()
    search, run_dir, files = prepare(settings)
    earlier = searches.read_trials(run_dir)
    print(f"{len(search.candidates)} trials, {len(earlier)} of them ended earlier | search {run_dir}", flush=True)

    progress = SearchProgress(search, earlier)
    stopping.reached(lambda: progress.reached(run_dir.name))
    # A trial that is a training run holds its workers until the state API tells that it was stopped early.
    resources, num_nodes = cluster.connect(state_api=search.tuning.workers_per_trial > 1)
    # Ray Tune tells of itself, and of every failed or interrupted trial at length; the tables say it in a line.
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    cluster.check_shared(run_dir.parent, files.local_paths)
    workers = choose_workers(settings.num_workers, resources, num_nodes)
    photo_digits = start_photo_digits(files, split_rows(files, search.data))
    trials = earlier
    try:
        trials = search_networks(
            search,
            run_dir,
            files=files,
            photo_digits=photo_digits,
            resources=resources,
            num_nodes=num_nodes,
            on_event=progress,
        )
        if unfinished(search, trials):
            raise KeyboardInterrupt
        rows = report_trials(run_dir, search, trials)
        best, trained = train_winner(search, winner_of(trials), run_dir, files, photo_digits, workers)
    except KeyboardInterrupt:
        if not progress.begun:
            raise
        raise stopped_early(search, run_dir, trials, started) from None
    document = document_of(best, search, run_dir, trials, time.perf_counter() - started)
    write_metrics(run_dir, document, {"trained": trained["runs"], "rows": rows})
    return document


def stopped_early(search: Search, run_dir: Storage, trials: list[TrialResult], started: float) -> Interrupted:
    """Tell what the search had reached and print its trials, in a second; returns what ends the job."""
    stopping.tell()
    ray.shutdown()  # trials that go on would replace the checkpoints that are named now
    rows = rows_of(trials, timed=False)
    if rows:
        show_trials(rows)
    document = document_of(best_trial(search, run_dir, trials), search, run_dir, trials, time.perf_counter() - started)
    write_metrics(run_dir, document, {"trained": [], "rows": rows})
    return Interrupted(document)


def unfinished(search: Search, trials: list[TrialResult]) -> bool:
    """Whether some trials did not end: Ctrl-C stopped the search."""
    return sum(trial.status != "interrupted" for trial in trials) < len(search.candidates)


def winner_of(trials: Sequence[TrialResult]) -> Candidate:
    """The best network of a search that ended; TrainingError where every trial failed."""
    best = ranked(trials)
    if not best:
        reasons = "; ".join(f"{trial.name}: {trial.reason}" for trial in trials[:3])
        raise TrainingError(
            f"all {len(trials)} trials failed ({reasons})",
            "at least one network that trains",
            "mend the cause, then start a new search",
        )
    return best[0].candidate


def train_winner(
    search: Search,
    winner: Candidate,
    run_dir: Storage,
    files: DigitFiles,
    photo_digits: Sequence[ray.ObjectRef],
    workers: Workers,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Train the best network in full with every seed and register it; returns its figures, and the training's."""
    started = time.perf_counter()
    run = Run.of({WINNER: search.winner(winner)}, search.seeds, search.data, search.fingerprint)
    driver.train(run, run_dir, workers, files=files, photo_digits=photo_digits, on_event=TrainingProgress(run))
    images, labels = read_without_ray(files, split_rows(files, run.data), inverted_copies=run.data.inverted_copies)
    finished = [finish(run_dir, network, images, labels) for network in run.networks]
    trained = report(run_dir.parent, run_dir, finished, images, started)
    best = max(finished, key=score_of)
    kept = best.checkpoint
    return {
        "architecture": kept.architecture.to_dict(),
        "score": score_of(best),
        "validation_accuracy": kept.record["metrics"]["validation_accuracy"],
        "parameters": kept.record["parameters"],
        "checkpoint": kept.path,
    }, trained


if __name__ == "__main__":
    run_job(TuneSettings, tune, __doc__)
