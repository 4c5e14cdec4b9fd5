"""Training on Ray Train: a group of workers trains the networks of a run one after another.

Where several nodes or GPUs have room for it, there are several groups, which train side by side: each takes the next
network when it is free. Each epoch of each network is reported with a checkpoint into the run's folder (see
`digits.training.runs`); a worker group that starts, for the first time or again, goes on from the last epoch that it
can read there. A group whose workers or nodes are lost starts again, and the others go on. This is the side of the
driver, which imports no TensorFlow; `digits.training.worker` is the other one.

How fast: docs/performance.md (jobs/benchmark.py --parts training).
"""

import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import ray
import ray.train
from ray.exceptions import RayActorError
from ray.train.v2.api.config import FailureConfig
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer
from ray.util.queue import Empty, Queue
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from digits import interruptible
from digits.data.split import Split
from digits.errors import MachineError, TrainingError
from digits.images import Digits
from digits.storage import Storage
from digits.training.group.tensorflow_cluster import worker_group
from digits.training.resources import Workers
from digits.training.runs import Run, untrained
from digits.training.task import InTurn, TrainingTask, Turns

MAX_STARTS = 60
"""Attempts to start a group for which there are not enough nodes, of half a minute each."""
WITHOUT_END = -1
"""As many attempts as it takes, for Ray Train."""
SNAPSHOT = "checkpoint_manager_snapshot.json"
"""What Ray Train notes of a run's checkpoints in its folder."""


def train(
    run: Run,
    run_dir: Storage,
    workers: Workers,
    *,
    split: Split,
    on_event: Callable[[dict[str, Any]], None],
    photo_digits: Sequence[ray.ObjectRef[Digits]],
    max_failures: int = 3,
) -> None:
    """Train all networks of a run; the epochs' checkpoints lie in `run_dir` when it returns.

    Ray must be up. `workers` are shared out among groups where there is room for several (`Workers.side_by_side`). A
    worker or node that dies is replaced and training goes on from the last epoch, `max_failures` times in each group;
    then, or on an error that a retry cannot mend, TrainingError, when the other groups have done their work. With a
    range of workers a lost node makes a group smaller, and a new one larger; global batches and learning rate stay what
    they are (`digits.data.batches`). KeyboardInterrupt leaves it at once; the workers then end with the cluster, or
    with the connection to it.
    `on_event` is called in a thread of this process, and what it raises is raised here at once. It gets dictionaries
    whose key event is

        begun      the run's folder is there: it can go on
        progress   network, epoch, fraction of it that is trained
        epoch      network, epochs (how many in all), result (EpochResult)
        resumed    network, epoch: the one that was read and is not repeated
        damaged    message: a checkpoint that could not be read; the one before it is used
        failure    causes: the error of each failed worker, by rank; network, where several train side by side
        diverged   network, epoch, learning_rate: the loss was no longer finite; TrainingError follows at once
    """
    run.write(run_dir)
    on_event({"event": "begun"})
    # The folder tells where training stands. Ray Train's own note would refuse a run of which an epoch was removed, or
    # that another version of Ray began.
    if (run_dir / SNAPSHOT).exists():
        (run_dir / SNAPSHOT).delete()
    shares = workers.side_by_side(len(untrained(run_dir, run)))
    with listening(on_event) as events:
        photos, queue = tuple(photo_digits), events.queue
        task = TrainingTask(
            run=run, run_dir=run_dir, networks=run.networks, split=split, photo_digits=photos, events=queue
        )
        fit(
            groups_for(task, shares, max_failures),
            events,
            wanted=f"{len(run.networks)} trained networks",
            run_dir=run_dir,
        )


def groups_for(task: TrainingTask, shares: Sequence[Workers], max_failures: int) -> list[DataParallelTrainer]:
    """A group for each share of the workers: one alone trains all networks, several take them in turn.

    One of several that finds too few nodes waits, until another one has done its work if need be.
    """
    alone = len(shares) == 1
    # All have one folder of Ray Train, which keeps a note there. A group reads it once, when it starts and none has an
    # epoch, and takes nothing from it.
    return [
        worker_group(
            train_worker,
            {"task": replace(task, networks=networks or task.networks)},
            workers,
            task.run_dir,
            callbacks=[TellFailures(task.events, networks)],
            failures=FailureConfig(
                max_failures=max_failures, controller_failure_limit=MAX_STARTS if alone else WITHOUT_END
            ),
            # A worker has all cores of its node where there are as many nodes; one of several groups has whole nodes.
            spread=alone and not workers.use_gpu,
        )
        for workers, networks in zip(shares, [None] if alone else in_turn(task.run, len(shares)), strict=True)
    ]


def in_turn(run: Run, num_groups: int) -> list[InTurn]:
    """The networks of a run for each of several groups."""
    turns = ray.remote(num_cpus=0)(Turns).options(scheduling_strategy=on_this_node()).remote(run.networks)
    return [InTurn(turns=turns, group=group) for group in range(num_groups)]


def fit(groups: Sequence[DataParallelTrainer], events: "Events", *, wanted: str, run_dir: Storage) -> None:
    """Let groups of workers do their work side by side; what `on_event` raises is raised at once.

    TrainingError where one has not done it, when the others have; MachineError at once.
    """

    def fit_one(group: DataParallelTrainer) -> Exception | None:
        try:
            group.fit()
        except ray.train.TrainingFailedError as error:
            refuse_machine([error])
            return error
        except RayActorError:
            return RuntimeError("the process of Ray Train's controller, which leads the workers, was killed")
        return None

    for error in interruptible.call_all([partial(fit_one, group) for group in groups], beside=events.handed_over):
        if error:
            raise TrainingError(
                f"training ended early: {cause_of(error)}",
                f"{wanted} in {run_dir}",
                f"mend the cause, then go on with --resume {run_dir.name}",
            ) from error


def divergence(event: Mapping[str, Any]) -> TrainingError:
    """What is raised for an event of this kind: epoch and learning_rate, and network where there are several."""
    loss = f"the loss of {event['network']}" if "network" in event else "the loss"
    epoch, learning_rate = event["epoch"], event["learning_rate"]
    return TrainingError(
        f"{loss} is not finite in epoch {epoch}, with a learning rate of {learning_rate:g}",
        "a finite loss; where steps are too large, the weights grow beyond all numbers",
        f"start anew with a lower rate, such as --learning-rate {min(learning_rate / 10, 0.001):g}; --resume would end "
        "in the same way",
    )


def refuse_machine(errors: Iterable[BaseException]) -> None:
    """Raise the MachineError among these errors, or among those that Ray Train and Ray Tune made of them."""
    for error in errors:
        inside = [getattr(error, name, None) for name in ("_base_exc", "controller_failure", "cause")]
        inside += getattr(error, "worker_failures", {}).values()
        refuse_machine(each for each in inside if isinstance(each, BaseException))
        if isinstance(error, MachineError):
            raise error


def cause_of(error: BaseException) -> str:
    """The line of an error's message that names the exception, where Ray shows a whole remote traceback.

    Of a group's errors the first one; of TensorFlow's, what ended a sum between workers, not the way to its operation.
    """
    if failures := getattr(getattr(error, "cause", error), "worker_failures", None):
        return cause_of(next(iter(failures.values())))
    if aborted := re.search(r"Collective ops is aborted by: (.+)", str(error)):
        return f"a sum between workers was aborted: {aborted[1].strip()}"
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    named = [line for line in lines if re.match(r"[\w.]*(Error|Exception|Died|Interrupt)\b", line)]
    return (named or lines or [type(error).__name__])[-1]


class TellFailures(ray.train.UserCallback):
    """Tells the driver when workers died and are replaced; runs in Ray Train's controller."""

    def __init__(self, events: Queue, networks: InTurn | None = None) -> None:
        self.events, self.networks = events, networks

    def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:
        """Called by Ray Train with the errors of the workers, by rank."""
        # Raised here it is an error of the controller, which ends the run: no other start would go better.
        refuse_machine(worker_exceptions.values())
        causes = {rank: cause_of(error) for rank, error in worker_exceptions.items()}
        network = self.networks.present() if self.networks else None
        self.events.put({"event": "failure", "causes": causes, **({"network": network.name} if network else {})})


@dataclass(frozen=True, kw_only=True, eq=False)
class Events:
    """What workers tell the driver."""

    queue: Queue
    """What they put their events into, as dictionaries with the key event."""
    handed_over: Future[None]
    """The thread that takes them out: ends with what `on_event` raised, or with the TrainingError of a divergence."""


@contextmanager
def listening(on_event: Callable[[dict[str, Any]], None]) -> Iterator[Events]:
    """A queue for the workers' events; a thread hands them to `on_event` until the block ends.

    What `on_event` raises ends the thread, as a divergence does, and is raised at the block's end if it was not before
    (see `fit`).
    """
    queue = Queue(actor_options={"num_cpus": 0, "scheduling_strategy": on_this_node()})
    ended, abandoned = threading.Event(), threading.Event()

    def hand_over() -> None:
        while not abandoned.is_set():
            last_round = ended.is_set()
            try:
                while not abandoned.is_set():
                    event = queue.get(timeout=0.2)
                    on_event(event)
                    if event["event"] == "diverged":
                        raise divergence(event)
            except Empty:
                if last_round:
                    return

    with ThreadPoolExecutor(max_workers=1) as pool:
        handed_over = pool.submit(hand_over)

        def end() -> None:
            ended.set()
            wait([handed_over])
            queue.shutdown()

        try:
            yield Events(queue=queue, handed_over=handed_over)
        except KeyboardInterrupt:
            abandoned.set()
            raise  # there is no time to wait for the queue: it ends with the job
        except BaseException:
            # Workers may go on telling for as long as they live.
            abandoned.set()
            end()
            raise
        end()
        handed_over.result()


def on_this_node() -> NodeAffinitySchedulingStrategy:
    """Keeps an actor on the driver's own node: another one may be lost, and the actor with it."""
    return NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)


def train_worker(config: dict[str, Any]) -> None:
    """What each Ray Train worker does."""
    from digits.training.worker import train_networks

    train_networks(config["task"])
