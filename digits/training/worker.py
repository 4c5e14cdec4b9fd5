"""What each of Ray Train's workers does in a training run: read its share of the digits, train, report every epoch.

Digits are read in threads while TensorFlow is being imported, which takes as long.
"""

import socket
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import ray.train

from digits.config import TrainingConfig
from digits.data.batches import Columns, rows_of_worker
from digits.data.distorted import iterate_epochs
from digits.data.mixture import TrainingRows, mask_of, repeated
from digits.data.read import read_sides
from digits.errors import require
from digits.images import Digits
from digits.models.checkpoints import Checkpoint
from digits.storage import Storage
from digits.training import runs
from digits.training.runs import Network, Run
from digits.training.score_photos import wait_for_photos
from digits.training.state import Diverged, TrainingState
from digits.training.task import TrainingTask

if TYPE_CHECKING:
    from digits.training import loop


def train_networks(task: TrainingTask) -> None:
    """What each Ray Train worker does: train every network of its group that is not finished yet.

    One that diverges ends the run. The workers then end as if they had done their work, after the driver was told:
    an error would make Ray Train start them again, to the same end.
    """
    require_run_dir(task.run_dir, Run.FILE)
    with ThreadPoolExecutor(max_workers=2) as pool:
        worker = TrainingWorker(task=task, pool=pool)
        trained = []
        for network in task.networks:
            try:
                worker.train(network)
            except Diverged as end:
                rate = network.recipe.training.learning_rate
                worker.tell("diverged", network, epoch=end.epoch, learning_rate=rate)
                return
            trained.append(network)
        if worker.rank == 0:
            # Made here because only workers import TensorFlow, and last because training sets it up.
            for network in trained:
                runs.complete_best_epoch(task.run_dir, network, keras_file)


@dataclass(kw_only=True, eq=False)
class TrainingWorker:
    """One worker of a group: its place among the others and its share of the digits, the same for all networks."""

    task: TrainingTask
    pool: ThreadPoolExecutor
    """Threads that read digits ahead of training."""

    def __post_init__(self) -> None:
        context = ray.train.get_context()
        self.rank, self.world_size = context.get_world_rank(), context.get_world_size()
        self.local_world_size = context.get_local_world_size()
        self.reading: dict[range, Future[tuple[Digits, Digits]]] = {}

    @cached_property
    def device(self) -> "loop.Device":
        """TensorFlow, set up: how the workers are joined, and among how many cores each divides its batch."""
        from digits.training import loop
        from digits.training.batch_parts import prepare_tensorflow

        recipes = [network.recipe for network in self.task.run.networks]
        smallest = min(recipe.training.global_batch_size for recipe in recipes)
        cores = prepare_tensorflow(self.local_world_size, smallest // self.world_size)
        most_weights = max(recipe.architecture.num_parameters() for recipe in recipes)
        return loop.Device.of_worker(cores, self.rank, self.world_size, self.local_world_size, most_weights)

    def sides(self, groups: range) -> Future[tuple[Digits, Digits]]:
        """This worker's share of both sides, read from now on; `groups` counts its originals on the training side."""
        if groups not in self.reading:
            self.reading = {groups: self.pool.submit(self.read_sides, groups)}
        return self.reading[groups]

    def read_sides(self, groups: range) -> tuple[Digits, Digits]:
        """Training and validation digits of this worker, with inverted copies where the run has them."""
        split, num_digits = self.task.split, self.task.split.files.num_digits
        rows = self.training.of_groups(groups)
        held_out = rows_of_worker(int(split.validates.sum()), self.rank, self.world_size)
        training, validation = read_sides(
            split.files,
            mask_of(rows, num_digits),
            mask_of(np.flatnonzero(split.validates)[held_out.start : held_out.stop], num_digits),
            inverted_copies=split.inverted_copies,
        )
        return repeated(training, rows, inverted_copies=split.inverted_copies), validation

    @cached_property
    def training(self) -> TrainingRows:
        """What all workers train on."""
        return self.task.split.training()

    @cached_property
    def photos(self) -> Digits:
        """This worker's share of the simulated photos."""
        return wait_for_photos(self.task.photo_digits, self.rank, self.world_size)

    def tell(self, event: str, network: Network, **details: object) -> None:
        """Tell the driver, from rank 0 alone, of an event that all workers see."""
        if self.rank == 0:
            self.task.events.put({"event": event, "network": network.name, **details})

    def train(self, network: Network) -> None:
        """Train one network from where it stands to its last epoch, together with all other workers."""
        resume = runs.last_state(
            self.task.run_dir, network, on_damage=lambda error: self.tell("damaged", network, message=str(error))
        )
        done = len(resume.history) if resume else 0
        if resume:
            self.tell("resumed", network, epoch=done)
        if done < network.recipe.training.epochs:
            self.fit(network, resume, done)

    def fit(self, network: Network, resume: TrainingState | None, done: int) -> None:
        """Train a network from the epoch after the first `done` ones to its last."""
        split, config = self.task.split, network.recipe.training
        columns = self.training.columns(config.global_batch_size, inverted_copies=split.inverted_copies)
        columns = columns.of_worker(self.rank, self.world_size)
        sides = self.sides(columns.owned_groups)
        epochs = ahead(self.pool, self.epochs(sides, columns, config, done))
        device = self.device
        from digits.training import loop

        def report(state: TrainingState) -> None:
            self.report(network, state)
            self.tell("epoch", network, epochs=config.epochs, result=state.history[-1])

        loop.fit(
            network.recipe,
            columns,
            loop.WorkerDigits(
                epochs=epochs,
                validation=sides.result()[1],
                photos=lambda: self.photos,
            ),
            report=report,
            progress=lambda epoch, fraction: self.tell("progress", network, epoch=epoch, fraction=fraction),
            resume=resume,
            device=device,
        )

    def epochs(
        self, sides: Future[tuple[Digits, Digits]], columns: Columns, config: TrainingConfig, first: int
    ) -> Iterator[Digits]:
        """This worker's training digits for each epoch from `first` on; waits until they are read."""
        training, _ = sides.result()
        copies = self.task.split.inverted_copies
        yield from iterate_epochs(training, columns, inverted_copies=copies, config=config, first=first)

    def report(self, network: Network, state: TrainingState) -> None:
        """Report an epoch to Ray Train, with its checkpoint from rank 0: a barrier over all workers."""
        report_with_folder(
            state.history[-1].to_dict(),
            network.epoch_name(len(state.history)),
            self.rank,
            lambda folder: runs.write_epoch(folder, self.task.run, network, state, self.world_size),
        )


def require_run_dir(run_dir: Storage, file: str) -> None:
    """Raise ConfigurationError where this node does not see the run's folder, which holds `file` from its start on."""
    require(
        (run_dir / file).exists(),
        f"the run's folder {run_dir} is not there on {socket.gethostname()}",
        "storage that every node sees, also nodes that come later",
        f"name a bucket, or a folder that is mounted on all nodes, instead of {run_dir.parent}",
    )


def report_with_folder(metrics: dict[str, Any], name: str, rank: int, write: Callable[[Storage], None]) -> None:
    """Report to Ray Train, a barrier over all workers; rank 0 hands over the folder `name`, which `write` fills."""
    if rank != 0:
        ray.train.report(metrics, checkpoint_dir_name=name)
        return
    with tempfile.TemporaryDirectory() as folder:
        write(Storage.open(folder))
        checkpoint = ray.train.Checkpoint.from_directory(folder)
        ray.train.report(metrics, checkpoint=checkpoint, checkpoint_dir_name=name)


def keras_file(checkpoint: Checkpoint) -> bytes:
    """A checkpoint as a .keras file."""
    from digits.models import network

    return network.keras_file(checkpoint.architecture, checkpoint.weights)


def ahead(pool: ThreadPoolExecutor, epochs: Iterator[Digits]) -> Iterator[Digits]:
    """The same epochs, at least one; a thread begins with the first at once."""
    first = pool.submit(next, epochs)

    def in_order() -> Iterator[Digits]:
        yield first.result()
        yield from epochs

    return in_order()
