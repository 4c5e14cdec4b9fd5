"""What a search is and leaves: it is read back, goes on as it was begun, can be made longer, and ranks its trials."""

import json
import math
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from digits.commands.settings import RunSettings
from digits.commands.tuning import TuneSettings, TuningFlags
from digits.config import BASELINE, IMPROVED, RECIPES
from digits.errors import ConfigurationError
from digits.storage import Storage
from digits.tuning import searches
from digits.tuning.budget import TuningConfig, score_of
from digits.tuning.candidate import HYPER_PARAMETERS
from digits.tuning.pareto import measure_inference_milliseconds, pareto_front
from digits.tuning.searches import EARLIER_SPACE, EARLIER_TUNING, Search
from digits.tuning.space import SearchSpace
from tests.unit.tuning.samples import a_search, a_trial, epoch


def test_a_search_is_read_back_as_it_was_written(tmp_path):
    search = a_search()
    search.write(Storage.open(tmp_path))
    assert Search.read(Storage.open(tmp_path)) == search
    assert Search.read(Storage.open(tmp_path)).candidates == search.candidates
    with pytest.raises(ConfigurationError, match="no search that can go on"):
        Search.read(Storage.open(tmp_path / "elsewhere"))


def test_trials_are_read_back_and_a_damaged_note_means_its_trial_is_repeated(tmp_path):
    run_dir = Storage.open(tmp_path)
    written = [a_trial(0, "finished", 0.5, 0.6), a_trial(1, "diverged", epochs_trained=1)]
    for trial in reversed(written):
        searches.write_trial(run_dir, trial)
    assert searches.read_trials(run_dir) == written
    (run_dir / "trials" / "trial-01.json").write_bytes(b'{"number": 1, "status"')
    assert searches.read_trials(run_dir) == written[:1]


def as_earlier_versions_wrote(values, added):
    """A JSON object without the keys that were added since."""
    return {name: value for name, value in values.items() if name not in added}


def test_a_search_of_an_earlier_version_goes_on_as_it_was_begun(tmp_path):
    """The networks are those that such a search once tried: tests/regression/recorded/search.json."""
    recorded = json.loads(Path("tests/regression/recorded/search.json").read_text())
    begun = replace(
        a_search(),
        space=SearchSpace(
            filters=(20, 32), dropouts=(0.0, 0.1), dense_units=(64, 128), dense_dropout=(0.0, 0.1),
            learning_rate=(0.003, 0.005), max_parameters=60_000,
        ),
        tuning=TuningConfig(num_samples=2),
    )  # fmt: skip
    note = json.loads(json.dumps(asdict(begun)))
    note["space"] = as_earlier_versions_wrote(note["space"], EARLIER_SPACE)
    note["tuning"] = as_earlier_versions_wrote(note["tuning"], EARLIER_TUNING)
    note["training"] = as_earlier_versions_wrote(note["training"], ("distortion",))
    (tmp_path / "search.json").write_text(json.dumps(note))
    search = Search.read(Storage.open(tmp_path))
    for number, trial in enumerate(recorded["trials"]):
        candidate = json.loads(json.dumps(asdict(search.candidates[number])))
        assert {name: candidate[name] for name in trial["candidate"]} == trial["candidate"]
        training = search.network(number).recipe.training
        assert replace(training, epochs=14, seed=0, learning_rate=3e-3) == RECIPES["recommended"].training
    assert (search.tuning.rank_by, search.tuning.grace_epochs) == ("photo_score", 1)
    assert search.candidates[0].known


def test_trials_of_an_earlier_version_keep_their_scores(tmp_path):
    run_dir, trial = Storage.open(tmp_path), a_trial(1, "finished", 0.5)
    note = as_earlier_versions_wrote(json.loads(json.dumps(asdict(trial))), ("rank_by",))
    added = ("learning_rate_schedule", "batch_size", "distortion")
    note["candidate"] = as_earlier_versions_wrote(note["candidate"], added)
    note["history"] = [as_earlier_versions_wrote(of_epoch, ("photo_loss",)) for of_epoch in note["history"]]
    (run_dir / "trials" / "trial-01.json").write_bytes(json.dumps(note).encode())
    (read,) = searches.read_trials(run_dir)
    assert (read.candidate, read.score, read.history[0].photo_loss) == (trial.candidate, 0.5, None)


def test_a_trial_trains_like_the_winner_but_for_epochs_and_seed():
    search = replace(a_search(), tuning=TuningConfig(num_samples=4, max_epochs=9, search_seed=5))
    trial, winner = search.network(2).recipe, search.in_full(2)
    assert trial.architecture == winner.architecture
    assert replace(trial.training, epochs=winner.training.epochs, seed=0) == winner.training
    assert (trial.training.epochs, trial.training.seed) == (9, 5)


def test_without_distortion_no_trial_varies_its_strength():
    search = a_search()
    search = replace(search, training=replace(search.training, distort=False))
    assert {search.network(number).recipe.training.distortion for number in range(4)} == {1.0}


def settings_of(**tuning):
    return TuneSettings(tuning=TuningFlags(**tuning), run=RunSettings(resume="a"))


def test_a_search_is_made_longer_and_begins_with_the_same_networks():
    search = a_search()
    longer = settings_of(num_samples=40).extended(search)
    assert longer.candidates[:4] == search.candidates and len(longer.candidates) == 40
    assert longer.of_length(4) == search
    assert settings_of().extended(search) is search
    assert settings_of(num_samples=4).extended(search) == search
    with pytest.raises(ConfigurationError, match="--num-samples 3 for a search of 4 trials"):
        settings_of(num_samples=3).extended(search)


def test_a_score_is_larger_where_the_loss_is_smaller_and_the_photo_score_where_that_was_asked_for():
    good, bad = epoch(1, 0.9), replace(epoch(1, 0.8), photo_score=0.95)
    assert score_of(good, "photo_loss") == pytest.approx(0.9) and score_of(bad, "photo_loss") == pytest.approx(0.8)
    assert score_of(bad, "photo_score") == 0.95
    assert score_of(replace(good, photo_loss=800.0), "photo_loss") == 0 == math.exp(-800)


def test_the_best_is_first_a_smaller_network_wins_a_tie_and_what_failed_has_no_rank():
    best = a_trial(0, "finished", 0.2, 0.9)
    larger = a_trial(1, "finished", 0.9, architecture=IMPROVED)
    stopped = a_trial(2, "stopped early", 0.3)
    diverged = a_trial(3, "diverged", 0.99, epochs_trained=2)
    assert searches.ranked([diverged, stopped, larger, best]) == [best, larger, stopped]


def test_epochs_saved_count_no_epoch_that_a_failed_trial_would_not_have_trained():
    trials = [a_trial(0, "finished", 0.2, 0.9), a_trial(1, "stopped early", 0.1), a_trial(2, "failed", 0.1)]
    assert searches.epochs_without_early_stopping(trials, 2) == 2 + 2 + 1


def test_rows_are_csv_with_the_hyper_parameters(tmp_path):
    rows = [a_trial(0, "finished", 0.5).to_row(), a_trial(1, "failed").to_row()]
    header, first, second = searches.trials_csv(rows).decode().splitlines()
    assert {*HYPER_PARAMETERS, "parameters", "score", "photo_score", "photo_loss"} <= set(header.split(","))
    assert first.startswith("trial-00,drawn,finished,8/16/32,8,,16,,32,")
    assert second.startswith("trial-01,drawn,failed,")
    json.dumps(rows, allow_nan=False)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=8))
def test_the_pareto_front_is_what_no_other_point_dominates(points):
    scores, costs = np.array(points).T
    expected = [
        not any(s >= score and c <= cost and (s > score or c < cost) for s, c in points) for score, cost in points
    ]
    assert pareto_front(scores, costs).tolist() == expected


def test_a_larger_network_takes_longer():
    large = replace(IMPROVED, filters=(128, 128, 128), dropouts=(0, 0, 0))
    assert 0 < measure_inference_milliseconds(BASELINE) < measure_inference_milliseconds(large)
