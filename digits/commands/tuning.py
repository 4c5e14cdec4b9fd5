"""What jobs/tune.py does: searches for a network on Ray Tune, and trains the winner as jobs/train.py does."""

import logging
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

import tyro

from digits import stopping
from digits.cluster import leave
from digits.commands.console import Interrupted
from digits.commands.preparation import Prepared, Started, prepare, start
from digits.commands.progress import SearchProgress, TrainingProgress
from digits.commands.reports.training import figures_of_best, report
from digits.commands.reports.tuning import best_trial, document_of, make_rows, report_trials, show_trials, write_metrics
from digits.commands.settings import Changes, RunSettings, flags_of
from digits.commands.training import show_sources, train_in_full
from digits.config import DataConfig, TrainingConfig
from digits.errors import TrainingError, require
from digits.storage import Storage
from digits.training.runs import Run
from digits.tuning import searches
from digits.tuning.budget import TuningConfig
from digits.tuning.driver import search_networks
from digits.tuning.searches import Search, TrialResult, ranked
from digits.tuning.space import TRAINING, SearchSpace

TrainingFlags = flags_of(
    TrainingConfig,
    default=lambda name: getattr(TRAINING, name),
    without=("seed", "learning_rate", "learning_rate_schedule", "global_batch_size", "distortion"),
)
TuningFlags = flags_of(TuningConfig, default=lambda name: getattr(TuningConfig(), name))


@dataclass(frozen=True, kw_only=True)
class TuneSettings:
    """Searches filters, dropout rates and more for the network that reads people's photos best, on Ray Tune.

    The best known network is always tried first. Poor trials are stopped early; the winner is trained in full, as
    jobs/train.py does, and registered if it beats the best checkpoint so far. Ctrl-C reports the best network so far;
    --resume goes on with an interrupted search, or with --num-samples makes any search longer.
    """

    tuning: Annotated[Changes, tyro.conf.arg(name="", constructor=TuningFlags)] = field(default_factory=TuningFlags)
    space: Annotated[SearchSpace, tyro.conf.arg(name="")] = field(default_factory=SearchSpace)
    training: Annotated[Changes, tyro.conf.arg(name="", constructor=TrainingFlags)] = field(
        default_factory=TrainingFlags
    )
    run: Annotated[RunSettings, tyro.conf.arg(name="")] = field(default_factory=RunSettings)

    def begin(self, data: DataConfig, fingerprint: str) -> Search:
        """The search that is asked for."""
        tuning, training = self.tuning.applied_to(TuningConfig()), self.training.applied_to(TRAINING)
        require(
            training.distort or "clean_tail" not in self.training.given(),
            f"clean tail = {training.clean_tail} where no epoch is distorted",
            "trials that distort their digits, whose last epochs are then left as they are",
            "leave out --clean-tail, or --distort False",
        )
        require(
            tuning.gpus_per_trial is None or tuning.workers_per_trial == 1,
            f"--gpus-per-trial {tuning.gpus_per_trial} for trials of {tuning.workers_per_trial} workers",
            "a fraction of a GPU for trials of one process: each worker has a GPU of its own",
            "leave out --gpus-per-trial, or --workers-per-trial",
        )
        return Search(
            space=self.space,
            tuning=tuning,
            training=training,
            seeds=self.run.all_seeds,
            data=data,
            fingerprint=fingerprint,
        )

    def given(self) -> bool:
        """Whether the command line says what to search: then it must be what a search that goes on was begun with."""
        others = set(self.tuning.given()) - {"num_samples"} or self.training.given()
        return bool(others) or self.space != SearchSpace() or self.run.seeds is not None

    def extended(self, search: Search) -> Search:
        """A search that goes on, with as many trials as are asked for; ConfigurationError where it has more."""
        asked, had = self.tuning.given().get("num_samples"), search.tuning.num_samples
        if asked is None:
            return search
        require(asked >= had, f"--num-samples {asked} for a search of {had} trials", "at least as many", "leave it out")
        return search.of_length(asked)


def tune(settings: TuneSettings) -> dict[str, Any]:
    """Search as the command line says and train the winner; returns the job's JSON document."""
    started = time.perf_counter()
    prepared = prepare(settings.run, Search, begin=settings.begin, given=settings.given(), name="tune")
    search, run_dir = settings.extended(prepared.work), prepared.run_dir
    prepared = replace(prepared, work=search)
    earlier = searches.read_trials(run_dir)
    progress = SearchProgress(search, earlier, prepared.lease.check)
    stopping.reached(lambda: progress.reached(run_dir.name))
    print(f"{len(search.candidates)} trials, {len(earlier)} of them ended earlier | search {run_dir}", flush=True)
    show_sources(prepared.split)
    # Ray Tune writes at length of itself and of every trial that fails; the job's own table needs a line for each.
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    with prepared.lease:
        # A trial that is a training run keeps its workers until the state API says that it was stopped early.
        cluster = start(prepared, settings.run, state_api=search.tuning.workers_per_trial > 1)
        return search_and_train(prepared, cluster, progress, earlier, started)


def search_and_train(
    prepared: Prepared[Search],
    cluster: Started,
    progress: SearchProgress,
    earlier: list[TrialResult],
    started: float,
) -> dict[str, Any]:
    """Try the networks that are left, then train the best; returns the JSON document, or raises Interrupted with it."""
    search, run_dir = prepared.work, prepared.run_dir
    trials = earlier
    try:
        with progress:
            trials = search_networks(
                search,
                run_dir,
                split=prepared.split,
                photo_digits=cluster.photo_digits,
                resources=cluster.resources,
                num_nodes=cluster.num_nodes,
                on_event=progress,
            )
        if unfinished(search, trials):
            raise KeyboardInterrupt
        rows = report_trials(run_dir, search, trials)
        best, trained = train_winner(prepared, winner_of(trials), cluster)
    except KeyboardInterrupt:
        if not progress.begun:
            raise
        raise stopped_early(search, run_dir, trials, started) from None
    document = document_of(best, search, run_dir, trials, time.perf_counter() - started)
    write_metrics(run_dir, document, {"trained": trained["runs"], "rows": rows})
    return document


def stopped_early(search: Search, run_dir: Storage, trials: list[TrialResult], started: float) -> Interrupted:
    """Say what the search had reached and print its trials, within a second; returns what ends the job."""
    stopping.tell()
    leave()  # trials that go on would replace the checkpoints that are named below
    rows = make_rows(trials, timed=False)
    if rows:
        show_trials(rows)
    document = document_of(best_trial(search, run_dir, trials), search, run_dir, trials, time.perf_counter() - started)
    write_metrics(run_dir, document, {"trained": [], "rows": rows})
    return Interrupted(document)


def unfinished(search: Search, trials: list[TrialResult]) -> bool:
    """Whether some trials have not ended because Ctrl-C stopped the search."""
    return sum(trial.status != "interrupted" for trial in trials) < len(search.candidates)


def winner_of(trials: Sequence[TrialResult]) -> TrialResult:
    """The best trial of a search that ended; TrainingError where every trial failed."""
    best = ranked(trials)
    if not best:
        reasons = "; ".join(f"{trial.name}: {trial.reason}" for trial in trials[:3])
        raise TrainingError(
            f"all {len(trials)} trials failed ({reasons})",
            "at least one network that trains",
            "mend the cause, then start a new search",
        )
    return best[0]


def train_winner(
    prepared: Prepared[Search], winner: TrialResult, cluster: Started
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Train the best network in full with every seed and register it; returns its figures, and the training's.

    Its checkpoints are named after its trial: an extended search may have another winner.
    """
    started = time.perf_counter()
    search, run_dir = prepared.work, prepared.run_dir
    recipes = {f"tuned-{winner.name}": search.in_full(winner.number)}
    run = Run.of(recipes, search.seeds, search.data, search.fingerprint)
    finished = train_in_full(run, prepared, cluster, TrainingProgress(run, prepared.lease.check))
    trained = report(run_dir.parent, run_dir, finished, cluster.validation[0], started)
    return figures_of_best(max(finished, key=lambda one: one.score).checkpoint), trained
