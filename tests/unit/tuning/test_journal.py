"""The journal of a search: how each trial ended, noted at once and only as long as the search runs."""

import pickle
from types import SimpleNamespace

import pytest
from ray.exceptions import RayTaskError
from ray.train import WorkerGroupError
from ray.train.v2._internal.exceptions import UserExceptionWithTraceback

from digits.errors import MachineError
from digits.storage import Storage
from digits.tuning import searches
from digits.tuning.journal import Journal
from digits.tuning.trial_task import TRIAL, report_of
from tests.unit.tuning.samples import a_search, a_trial


def tune_trial(number):
    """A trial, as far as callbacks look at it."""
    return SimpleNamespace(config={TRIAL: {"number": number}})


def test_how_a_trial_ended_is_noted_at_once(tmp_path):
    events, run_dir = [], Storage.open(tmp_path)
    journal = Journal(a_search(), run_dir, events.append)
    expected = a_trial(2, "stopped early", 0.3, 0.4)
    for epoch in expected.history:
        journal.on_trial_result(1, [], tune_trial(2), report_of(epoch, "photo_loss"))
    journal.on_trial_complete(1, [], tune_trial(2))
    (noted,) = searches.read_trials(run_dir)
    assert (noted.number, noted.status, noted.history) == (2, "stopped early", expected.history)
    assert [event["event"] for event in events] == ["epoch", "epoch", "ended"]


def test_what_ends_after_the_search_was_stopped_is_interrupted_and_not_noted(tmp_path):
    run_dir = Storage.open(tmp_path)
    journal = Journal(a_search(), run_dir, lambda event: None)
    journal.on_trial_result(1, [], tune_trial(0), report_of(a_trial(0, "finished", 0.3).history[0], "photo_loss"))
    journal.close()
    journal.on_trial_complete(1, [], tune_trial(0))
    assert [trial.status for trial in journal.trials()] == ["interrupted"]
    assert searches.read_trials(run_dir) == []


def failed_with(error, folder):
    """A trial that failed, with the file that Ray Tune keeps its error in."""
    (folder / "error.pkl").write_bytes(pickle.dumps(error))
    return SimpleNamespace(config={TRIAL: {"number": 1}}, pickled_error_file=str(folder / "error.pkl"))


def test_why_a_trial_failed_is_noted(tmp_path):
    run_dir = Storage.open(tmp_path / "run")
    Journal(a_search(), run_dir, lambda event: None).on_trial_error(
        1, [], failed_with(RuntimeError("MemoryError: too large"), tmp_path)
    )
    (noted,) = searches.read_trials(run_dir)
    assert (noted.status, noted.reason) == ("failed", "MemoryError: too large")


def test_a_machine_that_lacks_its_gpu_ends_the_search_and_no_trial_counts_as_failed(tmp_path):
    run_dir = Storage.open(tmp_path / "run")
    refused = WorkerGroupError("", {1: UserExceptionWithTraceback(MachineError("a", "b", "c"), "")})
    journal = Journal(a_search(), run_dir, lambda event: None)
    with pytest.raises(MachineError, match="a"):
        journal.on_trial_error(1, [], failed_with(RayTaskError("train", "", refused), tmp_path))
    assert searches.read_trials(run_dir) == []


def test_ray_tune_can_pickle_it_whatever_listens_and_gets_no_keys():
    storage = Storage.open(
        "s3://AKIAEXAMPLE:sEcReT@bucket/run?endpoint_override=127.0.0.1:1&scheme=http&region=us-east-1"
    )
    assert b"sEcReT" in pickle.dumps(storage)
    assert b"sEcReT" not in pickle.dumps(Journal(a_search(), storage, lambda event: None))
