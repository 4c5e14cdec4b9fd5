"""The side of the job: how several groups of workers end, together or at once."""

import threading
from concurrent.futures import Future
from types import SimpleNamespace

import pytest
import ray.train

from digits.errors import MachineError, TrainingError
from digits.storage import Storage
from digits.training.driver import Events, cause_of, divergence, fit

PATIENCE_S = 30


@pytest.fixture
def events():
    """Of a training in which nothing is told."""
    return Events(queue=None, handed_over=Future())


def failing(error):
    """A group of workers in which each start has ended in an error."""

    def fit():
        raise ray.train.WorkerGroupError("no more starts", worker_failures={0: error})

    return SimpleNamespace(fit=fit)


def test_a_group_that_fails_for_good_does_not_end_the_others(events, tmp_path):
    done = []
    working = SimpleNamespace(fit=lambda: threading.Event().wait(0.3) or done.append("trained"))
    with pytest.raises(TrainingError, match="training ended early") as ended:
        fit([failing(OSError("disk full")), working], events, wanted="2 networks", run_dir=Storage.open(tmp_path))
    assert done == ["trained"]
    assert f"--resume {tmp_path.name}" in ended.value.remedy


def test_a_controller_that_was_killed_is_told_as_any_other_failure(events, tmp_path):
    def lost():
        raise ray.exceptions.ActorDiedError()

    with pytest.raises(TrainingError, match=r"Ray Train's controller.* was killed") as ended:
        fit([SimpleNamespace(fit=lost)], events, wanted="1 network", run_dir=Storage.open(tmp_path))
    assert f"--resume {tmp_path.name}" in ended.value.remedy


@pytest.mark.parametrize("reason", ["machine", "on_event"])
def test_what_no_other_start_would_mend_ends_all_groups_at_once(events, tmp_path, reason):
    over = threading.Event()
    working = SimpleNamespace(fit=lambda: over.wait(PATIENCE_S) or pytest.fail("it was waited for"))
    refused = MachineError("no GPU", "a GPU", "install the driver")
    if reason == "on_event":
        events.handed_over.set_exception(refused)
    groups = [working, failing(refused)] if reason == "machine" else [working, working]
    with pytest.raises(MachineError, match="no GPU"):
        fit(groups, events, wanted="2 networks", run_dir=Storage.open(tmp_path))
    over.set()


def test_a_divergence_names_its_network_where_there_are_several_and_a_lower_rate():
    event = {"epoch": 2, "learning_rate": 0.5}
    assert divergence(event).happened == "the loss is not finite in epoch 2, with a learning rate of 0.5"
    assert divergence({**event, "network": "twin-seed1"}).happened.startswith("the loss of twin-seed1 is not finite")
    assert "--learning-rate 0.001" in divergence(event).remedy


class GroupError(RuntimeError):
    def __init__(self, failures):
        super().__init__("Training failed due to worker errors:\n[Rank 0 Error Snippet]: ...")
        self.worker_failures = failures


ABORTED = RuntimeError(
    "Graph execution error:\n\nDetected at node while/adam/CollectiveReduceV2 defined at (most recent call last):\n"
    "Collective ops is aborted by: UNAVAILABLE: Task /job:worker/replica:0/task:0 heartbeat timeout. \n\n"
    "The error could be from a previous operation.\n\t [[{{node while/adam}}]] [Op:__inference_train_stretch_1]"
)
TOLD = "a sum between workers was aborted: UNAVAILABLE: Task /job:worker/replica:0/task:0 heartbeat timeout."


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        pytest.param(ValueError("it is full"), "it is full", id="plain"),
        pytest.param(RuntimeError(), "RuntimeError", id="without a word"),
        pytest.param(
            RuntimeError("ray::train()\n  File x, line 1\nOSError: disk full\n  more"),
            "OSError: disk full",
            id="remote",
        ),
        pytest.param(ABORTED, TOLD, id="TensorFlow"),
        pytest.param(GroupError({1: ABORTED, 0: ValueError("later")}), TOLD, id="group"),
        pytest.param(SimpleNamespace(cause=GroupError({0: ABORTED})), TOLD, id="group in a task"),
        pytest.param(GroupError({}), "[Rank 0 Error Snippet]: ...", id="group that tells nothing"),
    ],
)
def test_what_ended_a_training_is_told_in_a_line(error, cause):
    assert cause_of(error) == cause
