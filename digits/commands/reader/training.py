"""What jobs/train_reader.py does: trains the page network and makes its best epoch a reader."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from digits import cluster, stopping
from digits.commands.console import show_table
from digits.commands.preparation import folder_of, require_same
from digits.commands.progress import Progress
from digits.commands.settings import StorageSettings
from digits.data.files import DigitFiles, find_digits, find_same_digits
from digits.default_storage import choose_storage, is_default_of_a_copy
from digits.errors import CheckpointError, ConfigurationError
from digits.lease import Lease
from digits.models.page_targets import PageArchitecture
from digits.storage import Storage
from digits.training.reader import driver
from digits.training.reader.finish import finish
from digits.training.reader.run import PageEpoch, PageRun, PageTraining, best_epoch, finished_epochs
from digits.training.resources import Workers, choose_workers


@dataclass(frozen=True, kw_only=True)
class TrainReaderSettings(StorageSettings):
    """Trains the network that reads every digit of a page, on Ray, from MNIST and simulated pages alone.

    Ray Data makes the pages while Ray Train trains: the same job on one machine and on many. At the end the best epoch,
    by its errors on simulated pages of another maker, becomes a reader: RUN/reader, an ONNX file and its record.
    """

    seed: int | None = None
    """Decides the pages, their order and the network's first weights; left out, 0."""
    epochs: int | None = None
    """How many epochs to train, each on new pages; left out, 30, or with --resume those the run began with."""
    squares_per_epoch: int | None = None
    """Squares of 192x192 pixels in an epoch, of which none comes twice; left out, 4,000."""
    learning_rate: float | None = None
    """AdamW's highest step size; left out, 0.003."""
    num_workers: int | None = None
    """Training workers; left out, one for each GPU, or else for each node, as far as they divide a step's squares."""
    resume: str | None = None
    """Name of an interrupted run in the storage path that is to go on; it keeps its settings, but for --epochs."""
    run_name: str | None = None
    """Name of the run: it begins or, where it is there already, goes on, so that a command can be repeated."""


def prepare(settings: TrainReaderSettings) -> tuple[PageRun, Storage, DigitFiles]:
    """All that can be checked before Ray starts; returns run, its folder, MNIST."""
    name_of_run = Path(settings.resume).name if settings.resume else settings.run_name
    holds = (lambda storage: (storage / name_of_run / PageRun.FILE).exists()) if name_of_run else None
    storage = choose_storage(settings.storage_path, holds=holds)
    named, goes_on = folder_of(storage, resume=settings.resume, run_name=settings.run_name, file=PageRun.FILE)
    names = ("seed", "epochs", "squares_per_epoch", "learning_rate")
    given = {name: getattr(settings, name) for name in names if getattr(settings, name) is not None}
    if named and goes_on:
        run = PageRun.read(named)
        if settings.epochs is not None:
            run = replace(run, training=replace(run.training, epochs=settings.epochs))
            check_length(named, run.training)
        asked = PageTraining(**{**given, "epochs": run.training.epochs})
        if settings.run_name:
            require_same(named.name, run, replace(run, training=asked), flag="--run-name")
        elif set(given) - {"epochs"}:
            require_same(named.name, run, replace(run, training=asked), flag="--resume")
        files = find_same_digits(None, run.fingerprint, named.name)
    else:
        files = find_digits()
        run = PageRun(
            training=PageTraining(**given), architecture=PageArchitecture().to_dict(), fingerprint=files.fingerprint
        )
    storage.check_writable()
    return run, named or storage.new_folder("reader"), files


def check_length(run_dir: Storage, training: PageTraining) -> None:
    """ConfigurationError where no epoch is left to train, and none of those that are there was judged."""
    done = len(finished_epochs(run_dir))
    if done < training.epochs:
        return
    try:
        best_epoch(run_dir)
    except CheckpointError as error:
        raise ConfigurationError(
            f"--epochs {training.epochs} for {run_dir.name}, which has {done} epochs, none of them judged",
            "one epoch more at least: the last ones are judged on simulated pages, when the learning rate has fallen",
            f"give --epochs {done + 1} or more",
        ) from error


def workers_for(requested: int | None, batch: int, resources: dict[str, float], num_nodes: int) -> Workers:
    """So many workers as are asked for, or as many as the cluster has room for and divide a step's squares."""
    if requested is None:
        most = choose_workers(None, resources, num_nodes).most
        requested = max(count for count in range(1, most + 1) if batch % count == 0)
    return choose_workers(requested, resources, num_nodes)


class ReaderProgress(Progress):
    """What `digits.training.reader.driver.train` tells: a bar on a terminal, a line for each epoch."""

    WORK = "training"

    def __init__(self, epochs: int, check: Callable[[], None]) -> None:
        super().__init__(check)
        self.epochs = epochs
        self.epochs_done = 0

    def done(self) -> str:
        """How many epochs are done."""
        return f"{self.epochs_done} of {self.epochs} epochs"

    def show(self, event: dict[str, Any]) -> None:
        """Show one event."""
        match event:
            case {"event": "progress", "epoch": epoch, "fraction": fraction}:
                self.line.show(f"epoch {epoch}/{self.epochs}", fraction)
            case {"event": "epoch", "result": result}:
                self.epochs_done = result.epoch
                self.line.print(epoch_line(result, self.epochs))
            case {"event": "resumed", "epoch": epoch}:
                self.epochs_done = epoch
                self.line.print(f"goes on after epoch {epoch}")


def epoch_line(epoch: PageEpoch, epochs: int) -> str:
    """One line of the log."""
    judged = f" | simulated pages: {epoch.error_rate:.1%} errors" if epoch.error_rate is not None else ""
    return (
        f"epoch {epoch.epoch:>3}/{epochs} | losses: centres {epoch.centre_loss:.3f} boxes {epoch.box_loss:.3f} "
        f"digits {epoch.digit_loss:.3f} | digits right {epoch.digit_accuracy:.1%}{judged} | {epoch.seconds:.0f} s, "
        f"{epoch.squares_per_second:.1f} squares/s, waiting for pages {epoch.waited_fraction:.1%}"
    )


def train_reader(settings: TrainReaderSettings) -> dict[str, Any]:
    """Train what the command line names; returns the job's JSON document."""
    started = time.perf_counter()
    run, run_dir, files = prepare(settings)
    print(f"run {run_dir}", flush=True)
    with Lease(run_dir, tell=print) as lease:
        record = train_and_finish(settings, run, run_dir, files, lease)
    show_table(
        "Simulated pages",
        ["condition", "pages", "exact", "errors"],
        [
            [name, str(one["images"]), f"{one['exact']:.0%}", f"{one['character_error_rate']:.1%}"]
            for name, one in record["simulated_pages"]["by_condition"].items()
        ],
    )
    pages = record["simulated_pages"]
    return {
        "run_dir": str(run_dir),
        "reader": str(run_dir / "reader"),
        "epoch": record["epoch"],
        "simulated_pages": {key: pages[key] for key in ("character_error_rate", "exact", "answered_without_digits")},
        "seconds": time.perf_counter() - started,
    }


def train_and_finish(
    settings: TrainReaderSettings, run: PageRun, run_dir: Storage, files: DigitFiles, lease: Lease
) -> dict[str, Any]:
    """Train a run and make its best epoch a reader; returns the reader's record."""
    run.write(run_dir)  # from here on it can go on with --resume, whatever happens
    progress = ReaderProgress(run.training.epochs, lease.check)
    progress.epochs_done = len(finished_epochs(run_dir))
    stopping.reached(lambda: progress.reached(run_dir.name))
    progress({"event": "begun"})
    resources, num_nodes = cluster.connect()
    cluster.check_shared(run_dir.parent, files.local_paths, alone=is_default_of_a_copy(settings.storage_path))
    workers = workers_for(settings.num_workers, run.training.global_batch_size, resources, num_nodes)
    driver.train(run, run_dir, workers, files=files, on_event=progress)
    print("choosing thresholds on simulated pages, a few minutes", flush=True)
    return finish(run, run_dir, files)
