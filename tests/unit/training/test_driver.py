"""The side of the job: how several groups of workers end, together or at once."""

import threading
from concurrent.futures import Future
from types import SimpleNamespace

import pytest
import ray.train

from digits.errors import MachineError, TrainingError
from digits.storage import Storage
from digits.training.driver import Events, divergence, fit

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
