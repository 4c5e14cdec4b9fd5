"""What each of Ray Train's workers does in a run that trains the page network."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import ray
import ray.train
from ray.util.queue import Queue

from digits.models.page_targets import PageArchitecture
from digits.storage import Storage
from digits.training.reader import finish, squares
from digits.training.reader import run as runs
from digits.training.reader.run import PageRun, PageState
from digits.training.state import Diverged
from digits.training.worker import report_with_folder, require_run_dir

if TYPE_CHECKING:
    import tensorflow as tf


@dataclass(frozen=True, kw_only=True)
class PageTask:
    """What every worker of a run gets."""

    run: PageRun
    run_dir: Storage
    shapes: ray.ObjectRef[Any]
    """`DigitShapes` in Ray's object store."""
    judging: tuple[np.ndarray, np.ndarray]
    """Digits and labels that the pages which judge an epoch are written with."""
    events: Queue
    """What the driver is told, see `reader.driver.train`."""


def train_pages(task: PageTask) -> None:
    """Train from where the run's folder stands to the last epoch, together with all other workers."""
    require_run_dir(task.run_dir, PageRun.FILE)
    context = ray.train.get_context()
    rank, world_size = context.get_world_rank(), context.get_world_size()
    config = task.run.training

    def tell(event: str, **details: object) -> None:
        if rank == 0:
            task.events.put({"event": event, **details})

    resume = runs.last_state(task.run_dir, on_damage=lambda error: tell("damaged", message=str(error)))
    done = len(resume.history) if resume else 0
    if resume:
        tell("resumed", epoch=done)
    if done >= config.epochs:
        return
    dataset = squares.squares(config, task.shapes, done, rank, world_size)
    batches = squares.batches(dataset, config.global_batch_size // world_size)

    strategy = prepare_tensorflow(context.get_local_world_size())

    def report(state: PageState) -> None:
        report_epoch(state, rank)
        tell("epoch", epochs=config.epochs, result=state.history[-1])

    architecture = PageArchitecture(**task.run.architecture)

    def score(state: PageState) -> dict[str, float] | None:
        """Of rank 0, where the learning rate has fallen far enough for the epoch to be kept."""
        if rank != 0 or not config.is_judged(len(state.history)):
            return None
        judged = finish.judge(architecture, state.mean, task.judging)
        return {"error_rate": judged.character_error_rate, "answered": judged.answered_fraction}

    from digits.training.reader.loop import fit

    try:
        fit(
            architecture,
            config,
            batches,
            strategy=strategy,
            resume=resume,
            score=score,
            report=report,
            progress=lambda epoch, fraction: tell("progress", epoch=epoch, fraction=fraction),
        )
    except Diverged as end:
        # And no error: Ray Train would start again, to the same end.
        tell("diverged", epoch=end.epoch, learning_rate=config.learning_rate)


def prepare_tensorflow(local_world_size: int) -> "tf.distribute.Strategy":
    """Import TensorFlow and give it this worker's share of the node; returns how workers work together."""
    import tensorflow as tf

    from digits.training.batch_parts import take_share_of_node

    tf.config.threading.set_intra_op_parallelism_threads(take_share_of_node(local_world_size))
    return tf.distribute.MultiWorkerMirroredStrategy()


def report_epoch(state: PageState, rank: int) -> None:
    """Report an epoch to Ray Train, with its folder from rank 0: a barrier over all workers."""
    epoch = state.history[-1].epoch
    report_with_folder({"epoch": epoch}, runs.epoch_name(epoch), rank, lambda folder: runs.write_state(folder, state))
