"""How a trial of a search trains its candidate, where it runs: alone, or as one of several workers."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import ray
import ray.train
import tensorflow as tf

from digits.data.batches import Columns, digits_of_worker
from digits.data.files import IMAGE, LABEL
from digits.images import Digits
from digits.training import loop, runs
from digits.training.batch_parts import prepare_tensorflow
from digits.training.runs import Run
from digits.training.score_photos import wait_for_photos
from digits.training.state import TrainingState
from digits.tuning.searches import TRIALS
from digits.tuning.trial_task import TrialTask, report_of


class Diverged(ArithmeticError):
    """Training whose figures are no longer finite numbers."""


def train_with_others(task: TrialTask, number: int) -> None:
    """What each Ray Train worker of a trial does."""
    context = ray.train.get_context()
    batch_size = task.search.training.global_batch_size // context.get_world_size()
    cores = prepare_tensorflow(context.get_local_world_size(), batch_size)
    train_candidate(
        task,
        number,
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
        loop.fit(
            network.recipe.architecture,
            network.recipe.training,
            columns,
            digits_of_epochs(task, columns, first=done),
            digits_of_worker(digits_in(task.validation), rank, world_size),
            photo_digits=(lambda: wait_for_photos(task.photo_digits, rank, world_size)) if task.photo_digits else None,
            report=report_epoch,
            resume=resume,
            strategy=strategy,
            cores=cores,
        )
    except Diverged:
        return


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
    return batch[IMAGE], batch[LABEL]
