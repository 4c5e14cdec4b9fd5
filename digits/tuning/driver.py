"""Searching for a network on Ray Tune: every candidate is a trial, and the poor ones are stopped early (ASHA).

The search's folder is the truth (see `digits.tuning.searches`): how each trial ended is noted there at once, so that a
search that was killed goes on without repeating one. Ray Tune's own snapshot is taken every ten seconds at most,
forgets what early stopping knew, and is a pickle: it is not read.

What it costs: docs/performance.md (jobs/benchmark.py --parts search).
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import ray
import ray.tune
from ray.tune.schedulers import ASHAScheduler

from digits import interruptible
from digits.data.batches import Columns
from digits.data.distorted import distort_columns
from digits.data.files import IMAGE, LABEL, DigitFiles
from digits.data.read import TASK_CPUS, read_without_ray
from digits.data.split import split_rows
from digits.errors import ConfigurationError
from digits.storage import Storage
from digits.training.resources import Workers, choose_workers
from digits.tuning import searches
from digits.tuning.journal import Journal
from digits.tuning.searches import TUNE, Search, TrialResult, trial_name
from digits.tuning.trial_launch import train_alone, train_with_workers
from digits.tuning.trial_task import TRIAL, TrialTask, report_of

GPUS_PER_TRIAL = 0.25
"""Of the default trial, where there are GPUs: these networks fill a small part of one."""
OnEvent = Callable[[dict[str, Any]], None]


def search_networks(
    search: Search,
    run_dir: Storage,
    *,
    files: DigitFiles,
    photo_digits: Sequence[ray.ObjectRef],
    resources: dict[str, float],
    num_nodes: int,
    on_event: OnEvent,
) -> list[TrialResult]:
    """Try all candidates of a search, or those that are left of it; returns what became of each, by number.

    Ray must be up and have `resources`, as `ray.cluster_resources()` tells. Ctrl-C ends the search early: trials
    that had not ended then have the status interrupted, or are missing where they had not begun; they end with the
    cluster, or with the connection to it. `on_event` is called
    with dictionaries whose key event is

        begun      the search's folder is there: it can go on
        prepared   done, total: epochs of training digits
        epoch      trial (number), result (EpochResult)
        ended      trial (TrialResult)
    """
    workers = choose_trial_workers(search, resources, num_nodes)
    search.write(run_dir)
    on_event({"event": "begun"})
    earlier = {trial.number: trial for trial in searches.read_trials(run_dir)}
    left = [number for number in range(len(search.candidates)) if number not in earlier]
    if not left:
        return list(earlier.values())
    task = prepare(search, run_dir, files, photo_digits, workers, on_event)
    journal = Journal(search, run_dir, on_event)
    alone = search.tuning.workers_per_trial == 1
    trainable = ray.tune.with_parameters(train_alone if alone else train_with_workers, task=task)
    tuner = ray.tune.Tuner(
        ray.tune.with_resources(trainable, resources_of(search, resources)),
        param_space={TRIAL: ray.tune.grid_search([configuration(search, number) for number in left])},
        tune_config=ray.tune.TuneConfig(
            scheduler=EarlyStopping(search, list(earlier.values())),
            # Each actor imports TensorFlow once, for all its trials.
            reuse_actors=alone,
            max_concurrent_trials=None if alone else concurrent_runs(workers, resources),
            trial_name_creator=name_of,
            trial_dirname_creator=name_of,
        ),
        run_config=ray.tune.RunConfig(
            name=TUNE,
            storage_path=run_dir.path,
            storage_filesystem=run_dir.filesystem,
            callbacks=[journal],
            verbose=0,
        ),
    )
    try:
        interruptible.call(tuner.fit)
    except KeyboardInterrupt:
        journal.close()
    return sorted([*earlier.values(), *journal.trials()], key=lambda trial: trial.number)


def choose_trial_workers(search: Search, resources: dict[str, float], num_nodes: int) -> Workers:
    """The workers of each trial, or ConfigurationError where the cluster has too few for one trial."""
    per_trial, gpus = search.tuning.workers_per_trial, search.tuning.gpus_per_trial
    if gpus and gpus > resources.get("GPU", 0):
        raise ConfigurationError(
            f"{gpus:g} GPUs per trial on a cluster that has {resources.get('GPU', 0):g}",
            "at most what the cluster has",
            "lower --gpus-per-trial, or leave it out",
        )
    try:
        return choose_workers(per_trial, resources, num_nodes)
    except ConfigurationError as error:
        parts = (part.replace("--num-workers", "--workers-per-trial") for part in error.args)
        raise ConfigurationError(*parts) from error


def resources_of(search: Search, resources: dict[str, float]) -> dict[str, float]:
    """What a trial's own process asks Ray for; that of a trial with workers only waits for them."""
    if search.tuning.workers_per_trial > 1:
        return {"cpu": 0.01}
    gpus = search.tuning.gpus_per_trial
    gpus = (GPUS_PER_TRIAL if resources.get("GPU") else 0) if gpus is None else gpus
    return {"cpu": 1, **({"gpu": gpus} if gpus else {})}


def concurrent_runs(workers: Workers, resources: dict[str, float]) -> int:
    """How many training runs have room beside each other: more would hold some workers and wait for others."""
    slots = resources["GPU"] if workers.use_gpu else resources["CPU"] / workers.cpus_per_worker
    return max(1, int(slots // workers.num_workers))


def configuration(search: Search, number: int) -> dict[str, Any]:
    """A trial's configuration as Ray Tune and TensorBoard show it."""
    return {"number": number, **search.candidates[number].hyper_parameters()}


def name_of(trial: ray.tune.experiment.Trial) -> str:
    """Name and folder of a trial in Ray Tune."""
    return trial_name(trial.config[TRIAL]["number"])


class EarlyStopping(ASHAScheduler):
    """ASHA over the epochs of trials; the published networks count as rivals, but train to the end.

    So a search cannot end below them. It also knows the results of `earlier` trials, which ended before the search
    was interrupted.
    """

    def __init__(self, search: Search, earlier: Sequence[TrialResult]) -> None:
        super().__init__(
            time_attr="epoch",
            metric="score",
            mode="max",
            max_t=search.tuning.max_epochs,
            grace_period=1,
            reduction_factor=search.tuning.reduction_factor,
        )
        self.search = search
        for trial in earlier:
            stand_in = SimpleNamespace(trial_id=trial.name, config={TRIAL: {"number": trial.number}})
            self.on_trial_add(None, stand_in)
            for epoch in trial.history:
                self.on_trial_result(None, stand_in, report_of(epoch))

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Called by Ray Tune with each report of a trial: whether it goes on."""
        decision = super().on_trial_result(tune_controller, trial, result)
        # A trial that trained to its end returns by itself: ASHA would kill it, and with it a training run's clean end.
        ends = result["epoch"] >= self.search.tuning.max_epochs
        published = self.search.candidates[trial.config[TRIAL]["number"]].published
        return self.CONTINUE if published or ends else decision


def evenly(side: np.ndarray, count: int) -> np.ndarray:
    """At most `count` originals of a side, bool (num_digits,), evenly spread over it."""
    rows = np.flatnonzero(side)
    chosen = np.zeros_like(side)
    chosen[rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)]] = True
    return chosen


def prepare(
    search: Search,
    run_dir: Storage,
    files: DigitFiles,
    photo_digits: Sequence[ray.ObjectRef],
    workers: Workers,
    on_event: OnEvent,
) -> TrialTask:
    """Put what all trials train on into the object store, once; distorted digits for every epoch.

    All is there before the first trial starts: trials hold all cores, and a task that they wait for would never run.
    """
    validates, inverted = split_rows(files, search.data), search.data.inverted_copies
    chosen = evenly(~validates, search.tuning.train_images)
    columns = Columns(
        num_groups=int(chosen.sum()),
        group_size=2 if inverted else 1,
        global_batch_size=search.training.global_batch_size,
    )
    max_epochs = search.tuning.max_epochs
    distorted = replace(search.training, epochs=max_epochs).distorted_epochs
    epochs: list[ray.ObjectRef] = []
    if distorted:
        images, labels = read_without_ray(files, chosen, inverted_copies=False)
        originals = [ray.put(images), ray.put(labels)]
        distort = ray.remote(num_cpus=TASK_CPUS)(distort_columns)
        epochs += [
            distort.remote(
                {"epoch": np.array([epoch]), "columns": [np.array(columns.owned)]},
                originals,
                columns,
                inverted,
                search.tuning.search_seed,
            )
            for epoch in range(distorted)
        ]
    if distorted < max_epochs:
        as_they_are = put_digits(*read_without_ray(files, chosen, inverted_copies=inverted))
        epochs += [as_they_are] * (max_epochs - distorted)
    held_out = read_without_ray(files, evenly(validates, search.tuning.validation_images), inverted_copies=inverted)
    wait_for([*dict.fromkeys(epochs), *photo_digits], on_event)
    return TrialTask(
        search=search,
        run_dir=run_dir,
        epochs=tuple(epochs),
        num_originals=columns.num_groups,
        validation=put_digits(*held_out),
        photo_digits=tuple(photo_digits),
        workers=workers,
    )


def put_digits(images: np.ndarray, labels: np.ndarray) -> ray.ObjectRef:
    """Digits in the object store, as tasks return them."""
    return ray.put({IMAGE: images, LABEL: labels})


def wait_for(references: Sequence[ray.ObjectRef], on_event: OnEvent) -> None:
    """Wait until all objects are there."""
    waiting = list(references)
    while waiting:
        _, waiting = ray.wait(waiting, fetch_local=False)
        on_event({"event": "prepared", "done": len(references) - len(waiting), "total": len(references)})
