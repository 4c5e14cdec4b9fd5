"""Searching for a network on Ray Tune: every candidate is a trial, and the poor ones are stopped early.

The search's folder is the truth (see `digits.tuning.searches`): how each trial ended is noted there at once, so that a
search that was killed goes on without repeating one. Ray Tune's own snapshot is taken every ten seconds at most,
forgets what early stopping knew, and is a pickle: it is not read.

What it costs: docs/performance.md (jobs/benchmark.py --parts search).
"""

import contextlib
import itertools
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
import ray.tune

from digits import interruptible
from digits.data.distorted import iterate_epochs
from digits.data.mixture import mask_of, repeated
from digits.data.read import read_without_ray
from digits.data.split import Split, evenly
from digits.errors import ConfigurationError
from digits.images import Digits
from digits.storage import Storage
from digits.training.driver import refuse_machine
from digits.training.resources import Workers, choose_workers
from digits.tuning import searches
from digits.tuning.early_stopping import EarlyStopping
from digits.tuning.journal import Journal
from digits.tuning.searches import TUNE, Search, TrialResult, trial_name
from digits.tuning.trial_launch import train_alone, train_with_workers
from digits.tuning.trial_task import TRIAL, TrialTask

GPUS_PER_TRIAL = 0.25
"""Of the default trial, where there are GPUs: these networks fill a small part of one."""
EVENTS = "events.out.tfevents*"
"""Files that TensorBoard reads."""
OnEvent = Callable[[dict[str, Any]], None]


def search_networks(
    search: Search,
    run_dir: Storage,
    *,
    split: Split,
    photo_digits: Sequence[ray.ObjectRef[Digits]],
    resources: dict[str, float],
    num_nodes: int,
    on_event: OnEvent,
) -> list[TrialResult]:
    """Try all candidates of a search, or those that are left of it; returns what became of each, by number.

    Ray must be up and have `resources`, as `ray.cluster_resources()` tells. Ctrl-C ends the search early: trials
    that had not ended then have the status interrupted, or are missing where they had not begun; they end with the
    cluster, or with the connection to it. What `on_event` raises is raised here at once; it is called with dictionaries
    whose key event is

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
    task = prepare(search, left, run_dir, split, photo_digits, workers, on_event)
    tell, failed = interruptible.watched(on_event)
    journal = Journal(search, run_dir, tell)
    alone = search.tuning.workers_per_trial == 1
    trainable = ray.tune.with_parameters(train_alone if alone else train_with_workers, task=task)
    with folder_of_tune(run_dir) as folder:
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
                name=folder.name,
                storage_path=folder.parent.path,
                storage_filesystem=folder.filesystem,
                callbacks=[journal],
                verbose=0,
            ),
        )
        fit(tuner, journal, failed)
    return sorted([*earlier.values(), *journal.trials()], key=lambda trial: trial.number)


@contextmanager
def folder_of_tune(run_dir: Storage) -> Iterator[Storage]:
    """Where Ray Tune writes: in the search's folder, or beside a bucket, which gets the events for TensorBoard then.

    What else Ray Tune writes are pickles, which nobody reads. They would hold the keys of the bucket.
    """
    if run_dir.is_local:
        yield run_dir / TUNE
        return
    # Ray Tune's thread may still write after Ctrl-C.
    with tempfile.TemporaryDirectory(prefix="digits-", ignore_cleanup_errors=True) as folder:
        try:
            yield Storage.open(folder) / TUNE
        finally:
            for file in Path(folder).rglob(EVENTS):
                (run_dir / TUNE / file.parent.name / file.name).write_bytes(file.read_bytes())


def fit(tuner: ray.tune.Tuner, journal: Journal, failed: Future[None]) -> None:
    """Run the trials until they have ended or Ctrl-C; MachineError and what `failed` tells end them, too."""
    try:
        with contextlib.suppress(KeyboardInterrupt):
            interruptible.call(tuner.fit, beside=failed)
    except ray.tune.TuneError as error:
        refuse_machine([error.__context__ or error])  # Ray Tune makes a text of what the journal raises
        raise
    finally:
        journal.close()


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
    return max(1, int(slots // workers.most))


def configuration(search: Search, number: int) -> dict[str, Any]:
    """A trial's configuration as Ray Tune and TensorBoard show it."""
    return {"number": number, **search.candidates[number].hyper_parameters()}


def name_of(trial: ray.tune.experiment.Trial) -> str:
    """Name and folder of a trial in Ray Tune."""
    return trial_name(trial.config[TRIAL]["number"])


def prepare(
    search: Search,
    left: Sequence[int],
    run_dir: Storage,
    split: Split,
    photo_digits: Sequence[ray.ObjectRef[Digits]],
    workers: Workers,
    on_event: OnEvent,
) -> TrialTask:
    """Put what all trials train on into the object store, once; digits for every epoch, distorted as strongly as asked.

    Only what the trials that are `left`, by number, ask for. All is there before the first one starts: trials hold all
    cores, and a task that they wait for would never run.
    """
    tuning, copies = search.tuning, split.inverted_copies
    training = replace(search.training, epochs=tuning.max_epochs, seed=tuning.search_seed)
    chosen = split.training(tuning.train_images)
    columns = chosen.columns(training.global_batch_size, inverted_copies=copies)
    digits = read_without_ray(split.files, mask_of(chosen.rows, split.files.num_digits), inverted_copies=copies)
    digits = repeated(digits, chosen.rows, inverted_copies=copies)
    held_out = read_without_ray(split.files, evenly(split.validates, tuning.validation_images), inverted_copies=copies)
    strengths = dict.fromkeys(search.network(number).recipe.training.distortion for number in left)
    total = tuning.max_epochs * len(strengths) + len(photo_digits)
    done, undistorted = itertools.count(1), ray.put(digits)
    epochs: dict[float, tuple[ray.ObjectRef[Digits], ...]] = {}
    for strength in strengths:
        config, references = replace(training, distortion=strength), []
        for epoch in iterate_epochs(digits, columns, inverted_copies=copies, config=config, first=0):
            references.append(undistorted if epoch is digits else ray.put(epoch))
            on_event({"event": "prepared", "done": next(done), "total": total})
        epochs[strength] = tuple(references)
    waiting = list(photo_digits)
    while waiting:
        _, waiting = ray.wait(waiting, fetch_local=False)
        on_event({"event": "prepared", "done": total - len(waiting), "total": total})
    return TrialTask(
        search=search,
        run_dir=run_dir,
        epochs=epochs,
        columns=columns,
        validation=ray.put(held_out),
        photo_digits=tuple(photo_digits),
        workers=workers,
    )
