"""What a search may try: the best known first, draws that stay in their bounds and fit, no impossible space."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from digits.config import BASELINE, IMPROVED, RECIPES
from digits.errors import ConfigurationError
from digits.models.inference import Classifier
from digits.tuning.budget import TuningConfig
from digits.tuning.candidate import HYPER_PARAMETERS, Candidate, multiplications, places_of, shape_of, stages_of
from digits.tuning.space import SearchSpace, draw_candidates
from tests.unit.tuning.samples import a_search

RECOMMENDED = RECIPES["recommended"]


def bounds(low, high):
    return st.tuples(st.integers(low, high), st.integers(low, high)).map(lambda pair: tuple(sorted(pair)))


def some_of(*values):
    return st.lists(st.sampled_from(values), min_size=1, max_size=len(values), unique=True).map(tuple)


@settings(max_examples=60, deadline=None)
@given(
    filters=bounds(1, 160),
    dense=bounds(0, 300),
    depths=some_of(1, 2),
    poolings=some_of(2, 3),
    batches=some_of(20, 128),
    room=st.floats(0, 1),
    seed=st.integers(0, 999),
)
def test_every_draw_is_inside_its_bounds_and_fits(filters, dense, depths, poolings, batches, room, seed):
    limits = {"filters": filters, "dense_units": dense, "depths": depths, "poolings": poolings, "batch_size": batches}
    space = SearchSpace(**limits, max_multiplications=None)
    space = replace(
        space,
        max_parameters=round(space.smallest().num_parameters() * 10**room),
        max_multiplications=round(multiplications(space.smallest()) * 10**room),
    )
    for candidate in draw_candidates(space, 6, seed):
        network = candidate.architecture
        assert network.num_parameters() <= space.max_parameters
        assert multiplications(network) <= space.max_multiplications
        assert candidate.batch_size in batches
        assert candidate.learning_rate_schedule in ("cosine", "constant")
        assert candidate.distortion in (0.7, 1.0, 1.3)
        if not candidate.known:
            *before, last = stages_of(network)
            assert len(before) == 2 and {len(stage) for stage in before} <= set(depths) and len(last) == 1
            assert len(network.pool_after) in poolings
            assert all(filters[0] <= number <= filters[1] for number in network.filters)
            assert dense[0] <= (network.dense_units or 0) <= dense[1]
            assert all(0 <= rate <= 0.5 for rate in (*network.dropouts, network.dense_dropout))
            assert 3e-4 <= candidate.learning_rate <= 1e-2


def test_every_kind_of_network_that_is_drawn_can_be_built():
    kinds = {}
    for candidate in draw_candidates(SearchSpace(), 60, seed=0):
        network = candidate.architecture
        kinds[len(network.filters), network.pool_after, network.dense_units is None] = network
    assert len(kinds) >= 12
    for network in kinds.values():
        weights = {name: np.zeros(shape, np.float32) for name, shape in network.weight_shapes().items()}
        assert Classifier(network, weights).probabilities(np.zeros((1, 28, 28), np.uint8)).shape == (1, 10)


def test_the_first_trial_is_the_recommended_recipe_and_within_the_bounds_of_the_others():
    search = a_search()
    assert search.in_full(0) == RECOMMENDED
    assert search.candidates[0].name == "recommended" and search.candidates[0].known
    space, first = SearchSpace(), search.candidates[0]
    assert space.fits(first.architecture)
    assert all(space.filters[0] <= number <= space.filters[1] for number in first.architecture.filters)
    assert first.batch_size in space.batch_size and first.distortion in space.distortion
    assert not any(candidate.known for candidate in search.candidates[1:])


def test_a_fixed_value_holds_for_the_first_trial_too():
    first = draw_candidates(SearchSpace(batch_size=(20,), learning_rate_schedule=("constant",)), 1, seed=0)[0]
    assert (first.name, first.batch_size, first.learning_rate_schedule) == ("recommended", 20, "constant")


def test_a_search_starts_from_the_recipes_that_it_is_told_or_the_largest_that_fits():
    both = draw_candidates(SearchSpace(start=("improved", "baseline")), 3, seed=0)
    assert [candidate.architecture for candidate in both[:2]] == [IMPROVED, BASELINE] and not both[2].known
    small = draw_candidates(SearchSpace(max_parameters=200_000), 3, seed=0)
    assert [candidate.known for candidate in small] == [True, False, False] and small[0].name == "improved"
    assert not any(candidate.known for candidate in draw_candidates(SearchSpace(max_parameters=8_000), 3, seed=0))


def test_half_of_the_others_differ_little_from_the_first():
    first, *others = draw_candidates(SearchSpace(), 400, seed=0)
    varied = [candidate for candidate in others if candidate.name == "varied"]
    assert 150 < len(varied) < 250
    known, shared = first.hyper_parameters(), []
    for candidate in varied:
        values = candidate.hyper_parameters()
        shared.append(np.mean([values.get(name) == known[name] for name in HYPER_PARAMETERS]))
        filters = zip(candidate.architecture.filters, first.architecture.filters, strict=False)
        if len(candidate.architecture.filters) == 5:
            assert all(now / 2.1 <= before <= 2.1 * now for now, before in filters)
    assert 0.5 < np.mean(shared) < 0.8
    assert {candidate.name for candidate in draw_candidates(SearchSpace(near=0.0), 50, seed=0)[1:]} == {"drawn"}


def test_the_same_seed_draws_the_same_networks_another_one_others_and_a_longer_search_begins_alike():
    eight = draw_candidates(SearchSpace(), 8, seed=3)
    assert eight == draw_candidates(SearchSpace(), 8, seed=3) == draw_candidates(SearchSpace(), 40, seed=3)[:8]
    assert eight[1:] != draw_candidates(SearchSpace(), 8, seed=4)[1:]


def test_draws_spread_over_the_space():
    space = SearchSpace(filters=(8, 128), near=0.0, max_multiplications=None)
    drawn = [candidate.architecture for candidate in draw_candidates(space, 300, seed=0)[1:]]
    filters = np.array([number for network in drawn for number in network.filters])
    # Uniform on a logarithmic scale from 8 to 128: half of the draws lie below 32.
    assert 0.42 < (filters < 32).mean() < 0.58
    assert filters.min() < 10
    assert filters.max() > 115
    assert 0.15 < np.mean([network.dense_units is None for network in drawn]) < 0.35
    assert {len(network.filters) for network in drawn} == {3, 4, 5}


def test_a_candidate_is_described_by_its_stages():
    network = RECOMMENDED.architecture
    assert shape_of(network) == "16-32/64-64/160" and places_of(network) == ["1a", "1b", "2a", "2b", "3a"]
    assert shape_of(replace(network, pool_after=(1, 3, 4))) == "16-32/64-64/160/"
    assert shape_of(BASELINE) == "8/16/32" and places_of(BASELINE) == ["1a", "2a", "3a"]
    assert multiplications(BASELINE) == 26 * 26 * 27 * 8 + 11 * 11 * 72 * 16 + 3 * 3 * 144 * 32 + 288 * 10


def test_what_a_candidate_leaves_open_is_as_the_search_says():
    bare = Candidate(name="drawn", architecture=BASELINE, learning_rate=0.5)
    assert bare.training(RECOMMENDED.training) == replace(RECOMMENDED.training, learning_rate=0.5)
    assert set(bare.hyper_parameters()) <= set(HYPER_PARAMETERS)
    assert "batch_size" not in bare.hyper_parameters()
    chosen = replace(bare, learning_rate_schedule="constant", batch_size=7, distortion=0.0).training(
        RECOMMENDED.training
    )
    assert (chosen.learning_rate_schedule, chosen.global_batch_size, chosen.distortion) == ("constant", 7, 0.0)


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
        ({"max_multiplications": 1_000}, "the least is"),
        ({"depths": (1, 3)}, "1, 2 or both"),
        ({"depths": ()}, "1, 2 or both"),
        ({"poolings": (1,)}, "2, 3 or both"),
        ({"batch_size": (0,)}, "at least 1"),
        ({"distortion": (3.0,)}, "from 0 to 2"),
        ({"start": ("lenet",)}, "recommended"),
        ({"near": 1.5}, "a fraction"),
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
    (last,) = draw_candidates(replace(space, max_parameters=only.num_parameters()), 1, 0)
    assert last.architecture.filters == (8, 8, 8)


@pytest.mark.parametrize(
    "wrong",
    [{"num_samples": 0}, {"max_epochs": 0}, {"grace_epochs": 0}, {"reduction_factor": 1}, {"gpus_per_trial": -1.0}],
)
def test_a_budget_that_cannot_work_is_refused(wrong):
    with pytest.raises(ConfigurationError, match="what to do"):
        TuningConfig(**wrong)
