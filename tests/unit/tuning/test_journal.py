"""The journal of a search: how each trial ended, noted at once and only as long as the search runs."""

import pickle
from types import SimpleNamespace

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
        journal.on_trial_result(1, [], tune_trial(2), report_of(epoch))
    journal.on_trial_complete(1, [], tune_trial(2))
    (noted,) = searches.read_trials(run_dir)
    assert (noted.number, noted.status, noted.history) == (2, "stopped early", expected.history)
    assert [event["event"] for event in events] == ["epoch", "epoch", "ended"]


def test_what_ends_after_the_search_was_stopped_is_interrupted_and_not_noted(tmp_path):
    run_dir = Storage.open(tmp_path)
    journal = Journal(a_search(), run_dir, lambda event: None)
    journal.on_trial_result(1, [], tune_trial(0), report_of(a_trial(0, "finished", 0.3).history[0]))
    journal.close()
    journal.on_trial_complete(1, [], tune_trial(0))
    assert [trial.status for trial in journal.trials()] == ["interrupted"]
    assert searches.read_trials(run_dir) == []


def test_ray_tune_can_pickle_it_whatever_listens_and_gets_no_keys():
    storage = Storage.open(
        "s3://AKIAEXAMPLE:sEcReT@bucket/run?endpoint_override=127.0.0.1:1&scheme=http&region=us-east-1"
    )
    assert b"sEcReT" in pickle.dumps(storage)
    assert b"sEcReT" not in pickle.dumps(Journal(a_search(), storage, lambda event: None))
