"""What one trial of a search does: train one candidate and report each epoch, alone or with several workers.

All trials train on the same digits in the object store, distorted once for all of them. A trial keeps its last
checkpoint in the search's folder and goes on from there when it is started again. TensorFlow is imported only where a
trial trains (`digits.tuning.trial_worker`), not where something waits for it.
"""

import os
from typing import Any

import ray.tune
from ray.tune.integration.ray_train import TuneReportCallback

from digits.machine import usable_cores
from digits.training.group.tensorflow_cluster import worker_group
from digits.tuning.searches import TUNE
from digits.tuning.trial_task import TRIAL, TrialTask


def train_alone(config: dict[str, Any], task: TrialTask) -> None:
    """A trial in one process: the function that Ray Tune calls; actors are used for one trial after another."""
    # How long Ray Tune waits for the last trial's thread to leave an actor before the next trial uses it. After its
    # default of 2 s the next trial fails, and an epoch may need longer to end.
    os.environ["TUNE_FUNCTION_THREAD_TIMEOUT_S"] = "60"
    from digits.training.batch_parts import prepare_tensorflow
    from digits.tuning.trial_worker import train_candidate

    number = config[TRIAL]["number"]
    prepare_tensorflow(usable_cores(), task.search.network(number).recipe.training.global_batch_size)
    train_candidate(task, number, report=ray.tune.report)


def train_with_workers(config: dict[str, Any], task: TrialTask) -> None:
    """A trial that is a training run on Ray Train: the function that Ray Tune calls, which only waits for the run."""
    worker_group(
        train_worker,
        {"task": task, "number": config[TRIAL]["number"]},
        task.workers,
        task.run_dir / TUNE / f"workers-{ray.tune.get_context().get_trial_id()}",
        callbacks=[TuneReportCallback()],
        job_goes_on=True,
    ).fit()


def train_worker(config: dict[str, Any]) -> None:
    """What each Ray Train worker of a trial does."""
    from digits.tuning.trial_worker import train_with_others

    train_with_others(config["task"], config["number"])
