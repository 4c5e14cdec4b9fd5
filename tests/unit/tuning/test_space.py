"""What a search may try: draws stay in their bounds and fit, impossible spaces are refused, results are read back."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from digits.config import BASELINE, IMPROVED
from digits.errors import ConfigurationError
from digits.storage import Storage
from digits.tuning import searches
from digits.tuning.pareto import measure_inference_milliseconds, pareto_front
from digits.tuning.searches import Search
from digits.tuning.space import SearchSpace, TuningConfig, draw_candidates
from tests.unit.tuning.samples import a_search, a_trial


def bounds(low, high):
    return st.tuples(st.integers(low, high), st.integers(low, high)).map(lambda pair: tuple(sorted(pair)))


@settings(max_examples=60, deadline=None)
@given(filters=bounds(1, 128), dense=bounds(0, 300), room=st.floats(0, 1), seed=st.integers(0, 999))
def test_every_draw_is_inside_its_bounds_and_fits(filters, dense, room, seed):
    space = SearchSpace(filters=filters, dense_units=dense)
    smallest = space.smallest().num_parameters()
    space = replace(space, max_parameters=round(smallest * 10**room))
    for candidate in draw_candidates(space, 4, seed):
        network = candidate.architecture
        assert network.num_parameters() <= space.max_parameters
        if candidate.name == "drawn":
            assert all(filters[0] <= number <= filters[1] for number in network.filters)
            assert dense[0] <= (network.dense_units or 0) <= dense[1]
            assert all(0 <= rate <= 0.5 for rate in (*network.dropouts, network.dense_dropout))
            assert 3e-4 <= candidate.learning_rate <= 1e-2


def test_the_published_networks_are_tried_first_where_they_fit():
    first, second, *drawn = draw_candidates(SearchSpace(), 20, seed=0)
    assert (first.architecture, second.architecture) == (IMPROVED, BASELINE)
    assert {candidate.name for candidate in drawn} == {"drawn"}
    small = draw_candidates(SearchSpace(max_parameters=20_000), 5, seed=0)
    assert [candidate.name for candidate in small] == ["baseline"] + 4 * ["drawn"]


def test_the_same_seed_draws_the_same_networks_and_another_one_others():
    assert draw_candidates(SearchSpace(), 8, seed=3) == draw_candidates(SearchSpace(), 8, seed=3)
    assert draw_candidates(SearchSpace(), 8, seed=3)[2:] != draw_candidates(SearchSpace(), 8, seed=4)[2:]


def test_draws_spread_over_the_space():
    drawn = [candidate.architecture for candidate in draw_candidates(SearchSpace(), 300, seed=0)[2:]]
    filters = np.array([network.filters for network in drawn])
    # Uniform on a logarithmic scale from 8 to 128: half of the draws lie below 32.
    assert 0.42 < (filters < 32).mean() < 0.58
    assert filters.min() < 10
    assert filters.max() > 115
    assert 0.15 < np.mean([network.dense_units is None for network in drawn]) < 0.35


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        ({"filters": (64, 8)}, "filters from 64 to 8"),
        ({"filters": (0, 8)}, "at least 1"),
        ({"dropouts": (0.5, 0.1)}, "dropouts from 0.5 to 0.1"),
        ({"dropouts": (0.0, 1.0)}, "below 1"),
        ({"dense_dropout": (-0.1, 0.2)}, "at least 0"),
        ({"learning_rate": (0.0, 0.1)}, "above 0"),
        ({"max_parameters": 100}, "the smallest has"),
        ({"filters": (100, 128), "max_parameters": 50_000}, "the smallest has"),
    ],
)
def test_an_impossible_space_is_refused_in_three_parts(bounds, words):
    with pytest.raises(ConfigurationError, match=words) as refused:
        SearchSpace(**bounds)
    assert "expected: " in str(refused.value)
    assert "what to do: " in str(refused.value)


def test_the_smallest_network_of_a_space_is_the_only_one_at_its_own_size():
    space = SearchSpace()
    only = space.smallest()
    assert draw_candidates(replace(space, max_parameters=only.num_parameters()), 3, 0)[2].architecture.filters == (
        8,
        8,
        8,
    )


@pytest.mark.parametrize(
    "wrong", [{"num_samples": 0}, {"max_epochs": 0}, {"reduction_factor": 1}, {"gpus_per_trial": -1.0}]
)
def test_a_budget_that_cannot_work_is_refused(wrong):
    with pytest.raises(ConfigurationError, match="what to do"):
        TuningConfig(**wrong)


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


def test_a_trial_trains_like_the_winner_but_for_epochs_seed_and_learning_rate():
    search = a_search()
    trial, winner = search.network(2).recipe, search.winner(search.candidates[2])
    assert trial.architecture == winner.architecture
    assert replace(trial.training, epochs=winner.training.epochs) == winner.training
    assert trial.training.epochs == 9


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
    assert {"filters_1", "dropout_3", "dense_units", "learning_rate", "parameters", "score"} <= set(header.split(","))
    assert first.startswith("trial-00,drawn,finished,8,16,32,")
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
