"""Training of the page network on Ray Train: Ray Data makes pages, beside it one group of workers trains.

The side of the driver, which imports no TensorFlow; `digits.training.reader.worker` is the other one. A worker group
that starts, for the first time or again, goes on from the last epoch that it can read in the run's folder.
"""

from collections.abc import Callable
from typing import Any

from ray.train.v2.api.config import FailureConfig

from digits import interruptible
from digits.data.files import DigitFiles
from digits.errors import require
from digits.storage import Storage
from digits.training.driver import MAX_STARTS, SNAPSHOT, TellFailures, fit, listening
from digits.training.group.tensorflow_cluster import worker_group
from digits.training.reader import squares
from digits.training.reader.finish import judging_digits
from digits.training.reader.run import PageRun
from digits.training.resources import Workers


def train(
    run: PageRun,
    run_dir: Storage,
    workers: Workers,
    *,
    files: DigitFiles,
    on_event: Callable[[dict[str, Any]], None],
    max_failures: int = 3,
) -> None:
    """Train a run, noted in `run_dir`, to its last epoch; the epochs lie there when it returns. Ray must be up.

    A worker or node that dies is replaced and training goes on from the last epoch, `max_failures` times; then, or on
    an error that a retry cannot mend, TrainingError. `on_event` is called in a thread of this process with dictionaries
    whose key event is progress (epoch, fraction), epoch (epochs, result), resumed (epoch), damaged (message),
    failure (causes) or diverged (epoch, learning_rate), as in `digits.training.driver`.
    """
    count = workers.num_workers
    require(
        isinstance(count, int) and run.training.global_batch_size % count == 0,
        f"{count} workers for {run.training.global_batch_size} squares in a step",
        "a number of workers that divides the squares of a step",
        "give --num-workers 1, 2 or 4",
    )
    if (run_dir / SNAPSHOT).exists():  # the folder tells where training stands
        (run_dir / SNAPSHOT).delete()
    shapes = interruptible.call(lambda: squares.begin_shapes(files, run.training))
    with listening(on_event) as events:
        config = {
            "run": run,
            "run_dir": run_dir,
            "shapes": shapes,
            "judging": judging_digits(files),
            "events": events.queue,
        }
        group = worker_group(
            train_worker,
            config,
            workers,
            run_dir,
            callbacks=[TellFailures(events.queue)],
            failures=FailureConfig(max_failures=max_failures, controller_failure_limit=MAX_STARTS),
            spread=not workers.use_gpu,
        )
        fit([group], events, wanted=f"{run.training.epochs} epochs", run_dir=run_dir)


def train_worker(config: dict[str, Any]) -> None:
    """What each Ray Train worker does."""
    from digits.training.reader.worker import PageTask, train_pages

    train_pages(PageTask(**config))
