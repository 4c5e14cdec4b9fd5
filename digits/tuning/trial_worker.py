"""How a trial of a search trains its candidate, where it runs: alone, or as one of several workers."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import ray
import ray.train

from digits.data.batches import Columns, digits_of_worker
from digits.images import Digits
from digits.storage import Storage
from digits.training import loop, runs
from digits.training.batch_parts import prepare_tensorflow
from digits.training.runs import Network, Run
from digits.training.score_photos import wait_for_photos
from digits.training.state import Diverged, TrainingState
from digits.tuning.searches import TRIALS, Search
from digits.tuning.trial_task import TrialTask, report_of


def train_with_others(task: TrialTask, number: int) -> None:
    """What each Ray Train worker of a trial does."""
    context = ray.train.get_context()
    rank, world_size = context.get_world_rank(), context.get_world_size()
    recipe, here = task.search.network(number).recipe, context.get_local_world_size()
    cores = prepare_tensorflow(here, recipe.training.global_batch_size // world_size)
    device = loop.Device.of_worker(cores, rank, world_size, here, recipe.architecture.num_parameters())
    train_candidate(task, number, report=ray.train.report, rank=rank, world_size=world_size, device=device)


def train_candidate(
    task: TrialTask,
    number: int,
    *,
    report: Callable[[dict[str, Any]], None],
    rank: int = 0,
    world_size: int = 1,
    device: loop.Device | None = None,
) -> None:
    """Train one candidate from where it stands, reporting every epoch, those of an earlier start included.

    A loss that is not finite ends the trial; it is reported with diverged true and a score of 0.
    """
    network, folder = task.search.network(number), task.run_dir / TRIALS
    resume = runs.last_state(folder, network, on_damage=lambda error: print(f"not used: {error}", flush=True))
    history = resume.history if resume else ()
    training, rank_by = network.recipe.training, task.search.tuning.rank_by
    for epoch in history:
        report(report_of(epoch, rank_by))

    def report_epoch(state: TrainingState) -> None:
        if rank == 0:
            keep_last_epoch(folder, task.search, network, state, world_size)
        report(report_of(state.history[-1], rank_by))

    columns = replace(task.columns, global_batch_size=training.global_batch_size).of_worker(rank, world_size)
    try:
        loop.fit(
            network.recipe,
            columns,
            loop.WorkerDigits(
                epochs=digits_of_epochs(task.epochs[training.distortion][len(history) :], columns),
                validation=digits_of_worker(ray.get(task.validation), rank, world_size),
                photos=lambda: wait_for_photos(task.photo_digits, rank, world_size),
            ),
            report=report_epoch,
            resume=resume,
            device=device,
        )
    except Diverged as end:
        report({"epoch": end.epoch, "score": 0.0, "diverged": True})


def keep_last_epoch(folder: Storage, search: Search, network: Network, state: TrainingState, num_workers: int) -> None:
    """Write the checkpoint of the epoch that `state` ends with, and remove that of the one before."""
    run, number = Run(networks=(network,), data=search.data, fingerprint=search.fingerprint), len(state.history)
    runs.write_epoch(folder / network.epoch_name(number), run, network, state, num_workers)
    earlier = folder / network.epoch_name(number - 1)
    if earlier.exists():
        earlier.delete()


def digits_of_epochs(epochs: Sequence[ray.ObjectRef[Digits]], columns: Columns) -> Iterator[Digits]:
    """A worker's digits of each epoch: read-only views, without a copy; equal epochs are the same object."""
    owned, size = columns.owned_groups, columns.group_size
    rows = slice(owned.start * size, owned.stop * size)
    for reference, equal in groupby(epochs):
        images, labels = ray.get(reference)
        digits = images[rows], labels[rows]
        for _ in equal:
            yield digits
