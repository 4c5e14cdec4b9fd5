"""Searching on Ray Tune: poor trials stop early, one that diverges is counted, and no finished one is repeated."""

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import ray

from digits.commands.reports.tuning import best_trial, document_of, report_trials
from digits.commands.tuning import winner_of
from digits.config import DataConfig, TrainingConfig
from digits.data.files import find_digits
from digits.data.read import read_without_ray
from digits.data.split import Split, split_rows
from digits.errors import ConfigurationError, TrainingError
from digits.models import checkpoints
from digits.storage import Storage
from digits.tuning import searches
from digits.tuning.budget import TuningConfig
from digits.tuning.searches import Search
from digits.tuning.space import SearchSpace

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("cluster")]

MAX_EPOCHS = 3


def a_search(path, **tuning):
    """Three trials on 300 digits; the third has a learning rate with which nothing stays finite."""
    return Search(
        space=SearchSpace(
            filters=(8, 16), dense_units=(0, 32), learning_rate=(1e25, 1e25), batch_size=(20, 30),
            distortion=(0.5, 1.0), start=("improved", "baseline"), near=0.0,
        ),
        tuning=TuningConfig(
            **{"num_samples": 3, "max_epochs": MAX_EPOCHS, "train_images": 300, "validation_images": 60, **tuning}
        ),
        training=TrainingConfig(epochs=1, learning_rate_schedule="cosine", distort=True),
        seeds=(0,),
        data=DataConfig(path=path),
        fingerprint=find_digits(path).fingerprint,
    )  # fmt: skip


def run(search, run_dir, on_event=None):
    """Run a search, with validation digits in the place of photos; returns its trials and what it told."""
    from digits.tuning.driver import search_networks

    files, events = find_digits(search.data.path), []
    images, labels = read_without_ray(files, split_rows(files, search.data), inverted_copies=False)
    trials = search_networks(
        search,
        run_dir,
        split=Split.make(files, search.data),
        photo_digits=[ray.put((images, labels))],
        resources=ray.cluster_resources(),
        num_nodes=1,
        on_event=on_event or events.append,
    )
    return trials, events


@pytest.fixture(scope="module")
def searched(tiny_mnist, tmp_path_factory):
    """A search that ran to its end."""
    run_dir = Storage.open(tmp_path_factory.mktemp("searches")) / "search"
    search = a_search(tiny_mnist)
    return search, run_dir, *run(search, run_dir)


def test_every_trial_ends_and_one_that_diverges_ends_no_other(searched):
    _, _, trials, events = searched
    assert [trial.number for trial in trials] == [0, 1, 2]
    # The known networks are never stopped early.
    assert [trial.status for trial in trials] == ["finished", "finished", "diverged"]
    assert "not finite" in trials[2].reason
    ended = [event["trial"] for event in events if event["event"] == "ended"]
    assert sorted(ended, key=lambda trial: trial.number) == trials
    told = [event["result"] for event in events if event["event"] == "epoch" and event["trial"] == 0]
    assert tuple(told) == trials[0].history


def test_a_trial_leaves_its_last_checkpoint_and_events_for_tensorboard(searched):
    search, run_dir, trials, _ = searched
    for trial in trials[:2]:
        folders = [name for name in (run_dir / searches.TRIALS).folders() if name.startswith(trial.name)]
        assert folders == [search.network(trial.number).epoch_name(trial.epochs_trained)]
        checkpoint = checkpoints.load(str(run_dir / searches.TRIALS / folders[0]))
        assert checkpoint.architecture == trial.candidate.architecture
        assert math.exp(-checkpoint.record["metrics"]["photo_loss"]) == trial.score
        assert checkpoint.record["training"]["global_batch_size"] == trial.candidate.batch_size
        assert list(Path(run_dir.path, searches.TUNE, trial.name).glob("events.out.tfevents*"))


def test_the_report_names_the_best_and_counts_epochs(searched):
    search, run_dir, trials, _ = searched
    rows = report_trials(run_dir, search, trials)
    best = best_trial(search, run_dir, trials)
    document = document_of(best, search, run_dir, trials, 1.0)
    assert rows[0]["score"] == max(trial.score for trial in trials if trial.score is not None)
    assert best["score"] == rows[0]["photo_score"]
    checkpoints.load(best["checkpoint"])
    assert document["trials"] == 3
    assert document["failed"] == 1
    assert document["epochs_trained"] == sum(trial.epochs_trained for trial in trials)
    assert document["epochs_without_early_stopping"] == 2 * MAX_EPOCHS + trials[2].epochs_trained
    names = {"trials.csv", "hyper_parameters.png", "trial_curves.png", "pareto.png"}
    assert names <= set(run_dir.files())
    assert any(row["on_front_of_parameters"] for row in rows)


def test_a_search_goes_on_with_what_is_left_of_it_and_a_trial_with_what_is_left_of_that(searched, tiny_mnist):
    search, run_dir, trials, _ = searched
    longest = max(trials, key=lambda trial: trial.epochs_trained)
    Path((run_dir / searches.TRIALS / f"{longest.name}.json").path).unlink()
    again, events = run(search, run_dir)
    # Its checkpoint holds all epochs, which are told once more and not trained again.
    assert {event["trial"] for event in events if event["event"] == "epoch"} == {longest.number}
    assert again == trials
    assert run(search, run_dir)[1] == [{"event": "begun"}]


def test_a_search_that_has_ended_is_made_longer_and_repeats_no_trial(searched, tiny_mnist):
    search, run_dir, trials, _ = searched
    longer = search.of_length(4)
    again, events = run(longer, run_dir)
    assert again[:3] == trials and [trial.number for trial in again] == [0, 1, 2, 3]
    assert {event["trial"] for event in events if event["event"] == "epoch"} <= {3}
    assert Search.read(run_dir) == longer
    search.write(run_dir)
    (run_dir / searches.TRIALS / f"{again[3].name}.json").delete()


def test_a_poor_trial_is_stopped_by_what_trials_before_it_reached_but_no_known_one(searched):
    from digits.tuning.early_stopping import EarlyStopping
    from digits.tuning.trial_task import TRIAL, report_of

    search, _, trials, _ = searched
    poor = report_of(replace(trials[0].history[1], photo_loss=9.0), search.tuning.rank_by)
    for number, earlier, expected in ((2, [], "CONTINUE"), (2, trials[:2], "STOP"), (0, trials[:2], "CONTINUE")):
        scheduler = EarlyStopping(search, earlier)
        trial = SimpleNamespace(trial_id="new", config={TRIAL: {"number": number}})
        assert scheduler.on_trial_result(None, trial, poor) == expected


def test_all_trials_of_one_strength_train_on_the_same_distorted_digits(tiny_mnist, tmp_path):
    from digits.tuning.driver import choose_trial_workers, prepare

    search = a_search(tiny_mnist)
    files = find_digits(tiny_mnist)
    workers = choose_trial_workers(search, {"CPU": 4}, 1)
    task = prepare(
        search.of_length(20), (0, 1, 3), Storage.open(tmp_path), Split.make(files, search.data), [], workers, print
    )
    strengths = {search.of_length(20).network(number).recipe.training.distortion for number in (0, 1, 3)}
    assert set(task.epochs) == strengths
    assert all(len(epochs) == MAX_EPOCHS for epochs in task.epochs.values())
    (first, labels), (second, _) = ray.get(list(task.epochs[1.0][:2]))
    assert first.shape == (600, 28, 28)
    assert not first.flags.writeable
    assert np.array_equal(first[1::2], 255 - first[::2])
    assert np.array_equal(labels[::2], labels[1::2])
    assert not np.array_equal(first, second)
    for epochs in task.epochs.values():
        (others, same_labels) = ray.get(epochs[0])
        assert np.array_equal(same_labels, labels) and np.array_equal(others, first) == (epochs is task.epochs[1.0])


def test_more_workers_than_the_cluster_has_are_refused_by_the_flag_that_asked_for_them(tiny_mnist):
    from digits.tuning.driver import choose_trial_workers

    with pytest.raises(ConfigurationError, match="--workers-per-trial"):
        choose_trial_workers(a_search(tiny_mnist, workers_per_trial=9), {"CPU": 4}, 1)
    with pytest.raises(ConfigurationError, match="--gpus-per-trial"):
        choose_trial_workers(a_search(tiny_mnist, gpus_per_trial=0.5), {"CPU": 4}, 1)


def test_a_search_in_which_everything_failed_says_why(searched):
    diverged = [trial for trial in searched[2] if trial.status == "diverged"]
    with pytest.raises(TrainingError, match=r"all 1 trials failed \(trial-02: the loss was not finite"):
        winner_of(diverged)


def test_a_trial_can_be_a_training_run_with_several_workers(searched, tiny_mnist, tmp_path):
    _, _, alone, _ = searched
    trials, _ = run(a_search(tiny_mnist, workers_per_trial=2), Storage.open(tmp_path) / "shared")
    assert [trial.number for trial in trials] == [0, 1, 2]
    assert trials[2].status == "diverged"
    # The first epoch of one worker and of two are the same computation, but for what dropout leaves out.
    for one, other in zip(alone[:2], trials[:2], strict=True):
        tolerance = 5e-2 if any(one.candidate.architecture.dropouts) else 1e-4
        assert other.history[0].train_loss == pytest.approx(one.history[0].train_loss, abs=tolerance)


def test_what_fails_while_events_are_shown_ends_the_search_at_once_and_no_trial_counts_as_failed(tiny_mnist, tmp_path):
    """The last test of this file: what it leaves behind goes on until its cluster ends, and holds cores."""
    run_dir, told = Storage.open(tmp_path) / "unseen", []

    def show(event):
        told.append(event["event"])
        if event["event"] == "epoch":
            raise BrokenPipeError("nobody reads")

    search, epochs = a_search(tiny_mnist), 2_000  # an hour
    tuning, training = replace(search.tuning, max_epochs=epochs), replace(search.training, distort=False)
    with pytest.raises(BrokenPipeError, match="nobody reads"):
        run(replace(search, tuning=tuning, training=training), run_dir, show)
    assert told.count("epoch") == 1
    assert not [trial for trial in searches.read_trials(run_dir) if trial.status == "failed"]
