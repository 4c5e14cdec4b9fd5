"""What jobs/train.py does: trains networks on Ray, and registers the best one."""

import time
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import tyro
from tyro.conf import FlagCreatePairsOff

from digits import cluster, stopping
from digits.commands.console import show_table
from digits.commands.preparation import Prepared, Started, prepare, start
from digits.commands.progress import TrainingProgress
from digits.commands.recipes import choose_recipes
from digits.commands.reports.training import report
from digits.commands.settings import TRAINING_FLAGS, Changes, RunSettings, flags_of
from digits.config import Architecture, DataConfig, TrainingConfig
from digits.data.split import Split
from digits.errors import require
from digits.training import driver
from digits.training.finish import FinishedNetwork, finish
from digits.training.resources import warning_of
from digits.training.runs import Run, finished_epochs


def as_recipe_says(name: str) -> str:
    """What --help says of a flag that is left out."""
    return "the recipe's"


NetworkFlags = flags_of(Architecture, default=as_recipe_says)
TrainingFlags = flags_of(TrainingConfig, default=as_recipe_says, called=TRAINING_FLAGS, without=("seed", "distort"))


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """Trains networks to read handwritten digits, on Ray, and registers the best one.

    Without flags: the recommended recipe on the shipped MNIST, on all that this machine or cluster has.
    The article's experiment: --architecture both.
    """

    architecture: Literal["recommended", "baseline", "improved", "both"] | None = None
    """Which network, each with its recipe; both: the article's two, baseline and improved; left out, recommended."""
    distort: FlagCreatePairsOff[bool] = False
    """Distort the training digits anew in every epoch, even if the recipe does not."""
    no_distort: FlagCreatePairsOff[bool] = False
    """Train on the digits as they are, even if the recipe distorts them."""
    on_demand_gpus: bool = False
    """Whether to let the cluster start GPU nodes for the workers, and to wait for the first of them."""
    network: Annotated[Changes, tyro.conf.arg(name="", constructor=NetworkFlags)] = field(default_factory=NetworkFlags)
    training: Annotated[Changes, tyro.conf.arg(name="", constructor=TrainingFlags)] = field(
        default_factory=TrainingFlags
    )
    run: Annotated[RunSettings, tyro.conf.arg(name="")] = field(default_factory=RunSettings)

    def begin(self, data: DataConfig, fingerprint: str) -> Run:
        """The run that is asked for."""
        require(
            not (self.distort and self.no_distort),
            "--distort and --no-distort",
            "one of them at most",
            "leave both out to do as the recipe says",
        )
        distort = True if self.distort else False if self.no_distort else None
        recipes = choose_recipes(self.recipe, self.network, self.training, distort=distort)
        return Run.of(recipes, self.run.all_seeds, data, fingerprint)

    @property
    def recipe(self) -> str:
        """The name of the recipe, or both."""
        return self.architecture or "recommended"

    def given(self) -> bool:
        """Whether the command line says what to train: then it must be what a run that goes on was begun with."""
        named = self.architecture is not None or self.run.seeds is not None or self.distort or self.no_distort
        return named or bool(self.network.given() or self.training.given())


def train(settings: TrainSettings) -> dict[str, Any]:
    """Train what the command line names; returns the job's JSON document."""
    started = time.perf_counter()
    name = f"train-{settings.recipe}"
    prepared = prepare(settings.run, Run, begin=settings.begin, given=settings.given(), name=name)
    progress = TrainingProgress(prepared.work, prepared.lease.check)
    progress.epochs_done = {
        network.name: len(finished_epochs(prepared.run_dir, network)) for network in prepared.work.networks
    }
    stopping.reached(lambda: progress.reached(prepared.run_dir.name))
    split = prepared.split
    copies = 2 if split.inverted_copies else 1
    held_out = int(split.validates.sum()) * copies
    print(
        f"{split.files.num_digits * copies:,} digits, {held_out:,} of them validate | run {prepared.run_dir}",
        flush=True,
    )
    show_sources(split)
    with prepared.lease:
        begun = start(prepared, settings.run, on_demand_gpus=settings.on_demand_gpus)
        if warning := warning_of(begun.workers, begun.num_nodes):
            print(warning, flush=True)
        finished = train_in_full(prepared.work, prepared, begun, progress)
        return report(prepared.run_dir.parent, prepared.run_dir, finished, begun.validation[0], started)


def show_sources(split: Split) -> None:
    """Print, where digits of several sources are mixed, what each gives; originals, without their copies."""
    if len(split.files.sources) == 1:
        return
    held_out, trains = split.files.of_sources(split.validates), split.files.of_sources(split.trains)
    stretches = iter(split.training().stretches)
    rows = []
    for number, (name, rows_of) in enumerate(split.files.rows_of_sources()):
        drawn = trains[name]
        if split.weights is not None:
            drawn = next(stretches).drawn if split.weights[number] else 0
        counts = (rows_of.stop - rows_of.start, held_out[name], trains[name], drawn)
        rows.append([name, *(f"{count:,}" for count in counts)])
    show_table("Sources", ["", "digits", "validate", "train", "in an epoch"], rows)
    left_out = int((~split.validates & ~split.trains).sum())
    if left_out:
        print(f"{left_out:,} digits do not train: they are equal to digits that validate", flush=True)


def train_in_full(
    run: Run,
    prepared: Prepared[Any],
    started: Started,
    progress: TrainingProgress,
) -> list[FinishedNetwork]:
    """Train all networks of a run in the job's folder and finish each of them; the last that a job does on Ray."""
    with progress:
        driver.train(
            run,
            prepared.run_dir,
            started.workers,
            split=prepared.split,
            photo_digits=started.photo_digits,
            on_event=progress,
        )
    cluster.leave_meanwhile()
    sources = prepared.split.files.of_sources(started.judged)
    return [finish(prepared.run_dir, network, *started.validation, sources) for network in run.networks]
