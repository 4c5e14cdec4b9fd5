"""What one trial of a search does: train one candidate and report each epoch, alone or with several workers.

All trials train on the same digits in the object store: each epoch's were distorted once, for all of them. A trial
keeps its last checkpoint in the search's folder and, started again, goes on from there.
"""

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import ray
import ray.train
import ray.tune
import tensorflow as tf
from ray.train.tensorflow import TensorflowTrainer
from ray.tune.integration.ray_train import TuneReportCallback

from digits import data, fitting, runs
from digits.evaluation import Digits
from digits.history import EpochResult, TrainingState
from digits.runs import Run
from digits.searches import TRIALS, TUNE, Search, score_of
from digits.shuffling import Columns
from digits.storage import Storage
from digits.training import prepare_tensorflow, share
from digits.workers import Workers

TRIAL = "trial"
"""Key of a trial's configuration in Ray Tune; under it the number of the candidate, and what it varies."""


@dataclass(frozen=True, kw_only=True)
class TrialTask:
    """What all trials of a search share."""

    search: Search
    run_dir: Storage
    epochs: tuple[ray.ObjectRef, ...]
    """For each epoch, training digits with their inverted copies: batches of data.IMAGE and data.LABEL."""
    num_originals: int
    """Training digits in each of them, without inverted copies."""
    validation: ray.ObjectRef
    """Validation digits, likewise."""
    photo_digits: tuple[ray.ObjectRef, ...]
    """Parts of the prepared simulated photos, see photo_digits."""
    workers: Workers
    """Of a trial that is a training run."""


class Diverged(ArithmeticError):
    """Training whose figures are no longer finite numbers."""


def train_alone(config: dict[str, Any], task: TrialTask) -> None:
    """A trial in one process: the function that Ray Tune calls; actors are used for one trial after another."""
    # Ray Tune waits so long for the last trial's thread to leave an actor that is used again; 2 s is too short where
    # an epoch's last moments are slow, and the next trial would fail.
    os.environ["TUNE_FUNCTION_THREAD_TIMEOUT_S"] = "60"
    prepare_tensorflow(len(os.sched_getaffinity(0)), task.search.training.global_batch_size)
    train_candidate(task, config[TRIAL]["number"], report=ray.tune.report)


def train_with_workers(config: dict[str, Any], task: TrialTask) -> None:
    """A trial that is a training run on Ray Train: the function that Ray Tune calls, which itself only waits."""
    storage, number = task.run_dir / TUNE, config[TRIAL]["number"]
    TensorflowTrainer(
        train_worker,
        train_loop_config={"task": task, "number": number},
        scaling_config=ray.train.ScalingConfig(
            num_workers=task.workers.num_workers,
            use_gpu=task.workers.use_gpu,
            resources_per_worker=task.workers.resources_per_worker,
        ),
        run_config=ray.train.RunConfig(
            name=f"workers-{ray.tune.get_context().get_trial_id()}",
            storage_path=storage.path,
            storage_filesystem=storage.filesystem,
            callbacks=[TuneReportCallback()],
        ),
    ).fit()


def train_worker(config: dict[str, Any]) -> None:
    """What each Ray Train worker of a trial does."""
    context, task = ray.train.get_context(), config["task"]
    part = task.search.training.global_batch_size // context.get_world_size()
    cores = prepare_tensorflow(context.get_local_world_size(), part)
    train_candidate(
        task,
        config["number"],
        report=ray.train.report,
        rank=context.get_world_rank(),
        world_size=context.get_world_size(),
        strategy=tf.distribute.MultiWorkerMirroredStrategy(),
        cores=cores,
    )


def train_candidate(
    task: TrialTask,
    number: int,
    *,
    report: Callable[[dict[str, Any]], None],
    rank: int = 0,
    world_size: int = 1,
    strategy: tf.distribute.Strategy | None = None,
    cores: int = 1,
) -> None:
    """Train one candidate from where it stands, reporting every epoch, those of an earlier start included.

    Figures that are not finite end the trial; they are reported with diverged true and a score of 0.
    """
    search, folder = task.search, task.run_dir / TRIALS
    network = search.network(number)
    run = Run(networks=(network,), data=search.data, fingerprint=search.fingerprint)
    resume = runs.last_state(folder, network, on_damage=lambda error: print(f"not used: {error}", flush=True))
    for epoch in resume.history if resume else ():
        report(report_of(epoch))
    columns = Columns(
        num_groups=task.num_originals,
        group_size=2 if search.data.inverted_copies else 1,
        global_batch_size=search.training.global_batch_size,
        rank=rank,
        world_size=world_size,
    )
    done = len(resume.history) if resume else 0

    def report_epoch(state: TrainingState) -> None:
        epoch = state.history[-1]
        if not (math.isfinite(epoch.train_loss) and math.isfinite(epoch.validation_loss)):
            report({"epoch": epoch.epoch, "score": 0.0, "diverged": True})
            raise Diverged
        if rank == 0:
            runs.write_epoch(folder / network.epoch_name(epoch.epoch), run, network, state, world_size)
            earlier = folder / network.epoch_name(epoch.epoch - 1)
            if earlier.exists():
                earlier.filesystem.delete_dir(earlier.path)
        report(report_of(epoch))

    try:
        fitting.fit(
            network.recipe.architecture,
            network.recipe.training,
            columns,
            digits_of_epochs(task, columns, first=done),
            part(digits_in(task.validation), rank, world_size),
            photo_digits=photos_of(task, rank, world_size),
            report=report_epoch,
            resume=resume,
            strategy=strategy,
            cores=cores,
        )
    except Diverged:
        return


def report_of(epoch: EpochResult) -> dict[str, Any]:
    """What Ray Tune is told of an epoch."""
    figures = {name: value for name, value in epoch.to_dict().items() if value is not None}
    return {**figures, "score": score_of(epoch), "diverged": False}


def digits_of_epochs(task: TrialTask, columns: Columns, first: int) -> Iterator[Digits]:
    """A worker's digits of the epochs from `first` (counted from 0) on; equal epochs are the same object."""
    owned, size = columns.owned_groups, columns.group_size
    rows = slice(owned.start * size, owned.stop * size)
    present, digits = None, None
    for reference in task.epochs[first:]:
        if reference != present:
            images, labels = digits_in(reference)
            present, digits = reference, (images[rows], labels[rows])
        yield digits


def digits_in(reference: ray.ObjectRef) -> Digits:
    """Images and labels of a batch in the object store; read-only, not copied."""
    batch = ray.get(reference)
    return batch[data.IMAGE], batch[data.LABEL]


def photos_of(task: TrialTask, rank: int, world_size: int) -> Digits | None:
    """A worker's part of the simulated photos; None where there are none."""
    if not task.photo_digits:
        return None
    return part(data.concatenate(ray.get(list(task.photo_digits))), rank, world_size)


def part(digits: Digits, rank: int, world_size: int) -> Digits:
    """A worker's part of digits that are counted once over all workers."""
    mine = share(len(digits[1]), rank, world_size)
    return digits[0][mine.start : mine.stop], digits[1][mine.start : mine.stop]
