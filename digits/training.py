"""Training on Ray Train: one group of workers trains the networks of a run one after another.

Each epoch of each network is reported with a checkpoint into the run's folder (see `digits.runs`); a worker group
that starts, for the first time or again, goes on from the last epoch that it can read there.
"""

import os
import re
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import ray
import ray.train
import tensorflow as tf
from ray.train.tensorflow import TensorflowTrainer
from ray.util.queue import Empty, Queue
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from digits import data, fitting, runs
from digits.config import require
from digits.epochs import epochs_of
from digits.evaluation import Digits
from digits.history import TrainingState
from digits.runs import Network, Run, TrainingError
from digits.shuffling import Columns
from digits.storage import Storage
from digits.workers import Workers

RESIZE_INTERVAL_S = 60.0
"""How often a group with a range of workers looks for nodes to grow onto, in seconds."""
MAX_STARTS = 60
"""Attempts to start a group for which there are not enough nodes, of half a minute each."""
SNAPSHOT = "checkpoint_manager_snapshot.json"
"""What Ray Train notes of a run's checkpoints in its folder."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """What every worker of a run gets."""

    run: Run
    run_dir: Storage
    files: data.DigitFiles
    validates: np.ndarray
    """Which originals validate: bool (num_digits,)."""
    photo_digits: tuple[ray.ObjectRef, ...]
    """Parts of the prepared simulated photos: uint8 (n, 28, 28) and labels int64 (n,)."""
    events: Queue
    """What the driver is told: dictionaries with the key event (see `train`)."""


def train(
    run: Run,
    run_dir: Storage,
    workers: Workers,
    *,
    files: data.DigitFiles,
    on_event: Callable[[dict[str, Any]], None],
    photo_digits: Sequence[ray.ObjectRef] = (),
    max_failures: int = 3,
) -> None:
    """Train all networks of a run; the epochs' checkpoints lie in `run_dir` when it returns.

    Ray must be up. A worker or node that dies is replaced and training goes on from the last epoch, `max_failures`
    times; then, or on an error that a retry cannot mend, TrainingError. With a range of workers a lost node makes the
    group smaller, and a new one larger; global batches and learning rate stay what they are (`digits.shuffling`).
    `on_event` is called in a thread of this process with dictionaries whose key event is

        progress   network, epoch, fraction of it that is trained
        epoch      network, epochs (how many in all), result (EpochResult)
        resumed    network, epoch: the one that was read and is not repeated
        damaged    message: a checkpoint that could not be read; the one before it is used
        failure    causes: the error of each failed worker, by rank
    """
    run.write(run_dir)
    # The folder tells where training stands. Ray Train's own note would refuse a run of which an epoch was removed, or
    # that another version of Ray began.
    if (run_dir / SNAPSHOT).exists():
        run_dir.filesystem.delete_file((run_dir / SNAPSHOT).path)
    with listening(on_event) as events:
        task = Task(
            run=run,
            run_dir=run_dir,
            files=files,
            validates=data.split_rows(files, run.data),
            photo_digits=tuple(photo_digits),
            events=events,
        )
        trainer = TensorflowTrainer(
            train_worker,
            train_loop_config={"task": task},
            scaling_config=ray.train.ScalingConfig(
                num_workers=workers.num_workers,
                use_gpu=workers.use_gpu,
                resources_per_worker=workers.resources_per_worker,
                # A worker has all cores of its node where there are as many nodes.
                placement_strategy="PACK" if workers.use_gpu else "SPREAD",
                elastic_resize_monitor_interval_s=RESIZE_INTERVAL_S,
            ),
            run_config=ray.train.RunConfig(
                name=run_dir.name,
                storage_path=run_dir.parent.path,
                storage_filesystem=run_dir.filesystem,
                failure_config=ray.train.FailureConfig(max_failures=max_failures, controller_failure_limit=MAX_STARTS),
                callbacks=[TellFailures(events)],
            ),
        )
        try:
            trainer.fit()
        except ray.train.TrainingFailedError as error:
            raise TrainingError(
                f"training ended early: {cause_of(error)}\n"
                f"  expected: {len(run.networks)} trained networks in {run_dir}\n"
                f"  what to do: mend the cause, then go on with --resume {run_dir.name}"
            ) from error


def cause_of(error: BaseException) -> str:
    """The line of an error's message that names the exception, where Ray shows a whole remote traceback."""
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    named = [line for line in lines if re.match(r"[\w.]*(Error|Exception|Died|Interrupt)\b", line)]
    return (named or lines or [type(error).__name__])[-1]


class TellFailures(ray.train.UserCallback):
    """Tells the driver when workers died and are replaced; runs in Ray Train's controller."""

    def __init__(self, events: Queue) -> None:
        self.events = events

    def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:
        """Called by Ray Train with the errors of the workers, by rank."""
        causes = {rank: cause_of(error) for rank, error in worker_exceptions.items()}
        self.events.put({"event": "failure", "causes": causes})


@contextmanager
def listening(on_event: Callable[[dict[str, Any]], None]) -> Iterator[Queue]:
    """A queue for the workers' events; a thread hands them to `on_event` until the block ends.

    What `on_event` raises is raised here at the block's end.
    """
    # On the driver's own node: another one may be lost, and the queue with it.
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    queue = Queue(actor_options={"num_cpus": 0, "scheduling_strategy": here})
    ended, abandoned = threading.Event(), threading.Event()

    def hand_over() -> None:
        while not abandoned.is_set():
            last_round = ended.is_set()
            try:
                while not abandoned.is_set():
                    on_event(queue.get(timeout=0.2))
            except Empty:
                if last_round:
                    return

    with ThreadPoolExecutor(max_workers=1) as pool:
        handed_over = pool.submit(hand_over)
        try:
            yield queue
        except BaseException:
            # Workers may go on telling for as long as they live.
            abandoned.set()
            raise
        finally:
            ended.set()
            wait([handed_over])
            queue.shutdown()
        handed_over.result()


def train_worker(config: dict[str, Any]) -> None:
    """What each Ray Train worker does: train every network of the run that is not finished yet."""
    task: Task = config["task"]
    context = ray.train.get_context()
    rank, world_size = context.get_world_rank(), context.get_world_size()
    require(
        (task.run_dir / runs.RUN).exists(),
        f"the run's folder {task.run_dir} is not there on {socket.gethostname()}",
        "storage that every node sees, also nodes that come later",
        f"name a bucket, or a folder that is mounted on all nodes, instead of {task.run_dir.parent}",
    )
    smallest = min(network.recipe.training.global_batch_size for network in task.run.networks)
    cores = prepare_tensorflow(context.get_local_world_size(), smallest // world_size)
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    validation = read_side(task, task.validates, share(int(task.validates.sum()), rank, world_size))
    photos = None
    if task.photo_digits:
        images, labels = data.concatenate(ray.get(list(task.photo_digits)))
        mine = share(len(labels), rank, world_size)
        photos = images[mine.start : mine.stop], labels[mine.start : mine.stop]
    for network in task.run.networks:
        train_network(task, network, rank, world_size, strategy, cores, validation, photos)


def share(total: int, rank: int, world_size: int) -> range:
    """A worker's part of `total` things: parts are contiguous, cover all, and differ by one at most."""
    return range(total * rank // world_size, total * (rank + 1) // world_size)


def read_side(task: Task, side: np.ndarray, groups: range) -> Digits:
    """Some originals of a side, with their inverted copies where the run has them, in memory."""
    dataset = data.read_digits(task.files, data.part_of(side, groups))
    return data.to_memory(data.with_inverted_copies(dataset) if task.run.data.inverted_copies else dataset)


def train_network(
    task: Task,
    network: Network,
    rank: int,
    world_size: int,
    strategy: tf.distribute.Strategy,
    cores: int,
    validation: Digits,
    photos: Digits | None,
) -> None:
    """Train one network from where it stands to its last epoch, on every worker at once."""
    config, tell = network.recipe.training, (task.events.put if rank == 0 else lambda event: None)
    resume = runs.last_state(
        task.run_dir, network, on_damage=lambda error: tell({"event": "damaged", "message": str(error)})
    )
    done = len(resume.history) if resume else 0
    if resume:
        tell({"event": "resumed", "network": network.name, "epoch": done})
    if done >= config.epochs:
        return
    columns = Columns(
        num_groups=int((~task.validates).sum()),
        group_size=2 if task.run.data.inverted_copies else 1,
        global_batch_size=config.global_batch_size,
        rank=rank,
        world_size=world_size,
    )
    dataset = data.read_digits(task.files, data.part_of(~task.validates, columns.owned_groups))

    def report(state: TrainingState) -> None:
        report_epoch(task, network, state, rank, world_size)
        tell({"event": "epoch", "network": network.name, "epochs": config.epochs, "result": state.history[-1]})

    fitting.fit(
        network.recipe.architecture,
        config,
        columns,
        epochs_of(dataset, columns, inverted_copies=task.run.data.inverted_copies, config=config, first=done),
        validation,
        photo_digits=photos,
        cores=cores,
        strategy=strategy,
        resume=resume,
        report=report,
        progress=lambda epoch, fraction: tell(
            {"event": "progress", "network": network.name, "epoch": epoch, "fraction": fraction}
        ),
    )


def report_epoch(task: Task, network: Network, state: TrainingState, rank: int, world_size: int) -> None:
    """Report an epoch to Ray Train, with its checkpoint from rank 0: a barrier over all workers."""
    result = state.history[-1]
    name = network.epoch_name(result.epoch)
    if rank != 0:
        ray.train.report(result.to_dict(), checkpoint_dir_name=name)
        return
    with tempfile.TemporaryDirectory() as folder:
        runs.write_epoch(Storage.open(folder), task.run, network, state, world_size)
        ray.train.report(
            result.to_dict(), checkpoint=ray.train.Checkpoint.from_directory(folder), checkpoint_dir_name=name
        )


def prepare_tensorflow(local_world_size: int, batch_size: int) -> int:
    """Share this node's cores among its workers, and let TensorFlow take GPU memory only as it needs it.

    Returns among how many cores `fitting.fit` is to divide a batch of `batch_size`; 1 on a GPU. What is left over works
    inside single operations.
    """
    # Ray sets this for its TensorFlow workers; a child process would then look for the old Keras.
    os.environ.pop("TF_USE_LEGACY_KERAS", None)
    tf.get_logger().setLevel("ERROR")
    cores, gpus = max(1, len(os.sched_getaffinity(0)) // local_world_size), tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    parts = 1 if gpus else fitting.parts_of(batch_size, cores)
    tf.config.threading.set_intra_op_parallelism_threads(cores // parts)
    return parts
