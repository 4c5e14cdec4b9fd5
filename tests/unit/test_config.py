"""Hyper-parameters: the article's networks, and mistakes that are refused."""

import json
from dataclasses import replace

import pytest

from digits.config import BASELINE, IMPROVED, RECIPES, Architecture, DataConfig, TrainingConfig
from digits.errors import ConfigurationError


def test_the_articles_networks_have_the_published_number_of_parameters():
    assert BASELINE.num_parameters() == 8_922
    assert IMPROVED.num_parameters() == 131_466


def test_the_articles_recipes_are_those_of_the_article():
    assert RECIPES["baseline"].training.epochs == 5
    assert RECIPES["improved"].training.epochs == 4
    for name in ("baseline", "improved"):
        training = RECIPES[name].training
        assert (training.global_batch_size, training.learning_rate, training.distort) == (32, 1e-3, False)


def test_an_architecture_survives_json():
    assert Architecture.from_dict(json.loads(json.dumps(IMPROVED.to_dict()))) == IMPROVED


@pytest.mark.parametrize(
    "changes",
    [
        {"dropouts": (1.0, 0, 0)},
        {"dropouts": (-0.1, 0, 0)},
        {"dropouts": (0.1,)},
        {"filters": (0, 16, 32)},
        {"filters": ()},
        {"dense_dropout": 0.5},
        {"pool_after": (3,)},
        {"filters": (8,) * 6, "dropouts": (0,) * 6, "pool_after": (0, 1, 2)},
    ],
)
def test_an_impossible_architecture_is_refused_in_three_parts(changes):
    with pytest.raises(ConfigurationError) as error:
        replace(BASELINE, **changes)
    assert "expected: " in str(error.value)
    assert "what to do: " in str(error.value)


def test_no_dense_units_are_no_dense_layer():
    assert replace(IMPROVED, dense_units=0, dense_dropout=0) == replace(IMPROVED, dense_units=None, dense_dropout=0)


def test_an_architecture_with_unknown_keys_is_refused():
    with pytest.raises(ConfigurationError, match="keys"):
        Architecture.from_dict({**BASELINE.to_dict(), "activation": "gelu"})


@pytest.mark.parametrize(
    "changes",
    [
        {"epochs": 0},
        {"learning_rate": -1e-3},
        {"learning_rate": float("nan")},
        {"global_batch_size": 0},
        {"seed": -1},
        {"distortion": 2.5},
        {"outliers": -0.1},
        {"outliers": 0.6},
    ],
)
def test_impossible_training_is_refused(changes):
    with pytest.raises(ConfigurationError, match="what to do"):
        TrainingConfig(**{"epochs": 1, **changes})


@pytest.mark.parametrize(
    ("settings", "known"),
    [
        ({"outliers": 0.1, "distort": True}, True),
        ({"outliers": 0.1}, False),
        ({"distort": True}, False),
        ({"outliers": 0.1, "distort": True, "clean_tail": 1.0}, False),
    ],
)
def test_what_is_no_digit_is_known_where_distorted_epochs_show_it(settings, known):
    assert TrainingConfig(epochs=4, **settings).knows_none == known


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.2])
def test_an_empty_side_of_the_split_is_refused(fraction):
    with pytest.raises(ConfigurationError, match="validation fraction"):
        DataConfig(validation_fraction=fraction)
