"""Gains are differences between networks or paths that differ in one measure only."""

import json

import cv2
import numpy as np
import pytest

from digits.evaluation.comparison import ComparedNetwork, Comparison, compare, gains, measures, over_trainings
from digits.evaluation.corruptions import FAMILIES
from digits.evaluation.factors import FACTORS, FactorResult
from digits.reporting.factor_figures import comparison_pictures


def always(digit: int):
    """A network that gives the same answer to everything."""
    return lambda images: np.eye(10, dtype=np.float32)[np.full(len(images), digit)]


def network(name: str, architecture: str, distorted: bool, *trainings) -> ComparedNetwork:
    return ComparedNetwork(
        name=name, architecture=architecture, distorted=distorted, parameters=10, trainings=trainings
    )


@pytest.fixture
def comparison() -> Comparison:
    """Made-up results of four networks with three trainings each."""
    names = ["baseline", "improved", "baseline, distorted", "improved, distorted"]
    networks = tuple(network(name, name.split(",")[0], "," in name, *[always(0)] * 3) for name in names)
    seeds = np.array([-0.01, 0.0, 0.01])
    at = {"resized": 0.3, "prepared": 0.9}

    def accuracy(name: str, path: str) -> np.ndarray:
        return at[path] + 0.02 * ("improved" in name) + 0.05 * ("distorted" in name) + seeds

    keys = [(name, path) for name in names for path in at]
    photos = {key: accuracy(*key) for key in keys}
    blank = np.full((60, 50, 3), 200, np.uint8)
    factors = {
        name: FactorResult(
            factor=FACTORS[name],
            accuracy={
                key: np.tile(accuracy(*key)[:, None], len(FACTORS[name].levels))
                - 0.04 * np.arange(len(FACTORS[name].levels))
                for key in keys
            },
            examples=[blank] * len(FACTORS[name].levels),
        )
        for name in ("everyday", "size", "polarity")
    }
    return Comparison(
        networks=networks,
        validation=dict.fromkeys(names, 0.98 + seeds),
        corruptions={name: np.full((3, len(FAMILIES)), 0.8) for name in names},
        factors=factors,
        photos=photos,
    )


def test_every_training_reads_everything():
    rng = np.random.default_rng(0)
    digits, labels = rng.integers(0, 256, (8, 28, 28), dtype=np.uint8), np.array([1, 1, 1, 1, 2, 2, 3, 3])
    found = np.array([1, 1, 2, -1])
    photos = {
        "resized": (np.zeros((4, 28, 28, 3), np.uint8), found),
        "prepared": (np.zeros((4, 28, 28), np.uint8), found),
    }
    result = compare(
        [network("ones and twos", "baseline", False, always(1), always(2))],
        validation=(digits, labels),
        corruptible=(digits, labels),
        factors={},
        photos=photos,
    )
    assert result.validation["ones and twos"].tolist() == [0.5, 0.25]
    assert result.corruptions["ones and twos"].shape == (2, len(FAMILIES))
    assert (result.corruptions["ones and twos"] == [[0.5], [0.25]]).all()
    # A photo without a digit, label -1, is an error of every network.
    assert result.photos["ones and twos", "prepared"].tolist() == [0.5, 0.25]
    assert result.everyday is None


def test_each_measure_is_taken_by_itself(comparison):
    found = {(gain.measure, gain.before, gain.after, gain.on): 100 * gain.differences for gain in gains(comparison)}
    assert len(found) == 2 * (2 * 2 + 2 * 2 + 4)
    on = "real photos"
    more_filters = found["more filters and dropout", "baseline, resized", "improved, resized", on]
    assert np.allclose(more_filters, 2)
    distortion = found["distortion in training", "improved, prepared", "improved, distorted, prepared", on]
    assert np.allclose(distortion, 5)
    preparation = found["finding paper and ink", "improved, distorted, resized", "improved, distorted, prepared", on]
    assert np.allclose(preparation, 60)


def test_the_recommended_network_is_compared_with_the_distorted_improved_one_only():
    networks = [
        network(name, name.split(",")[0], "," in name, always(0))
        for name in ("baseline", "improved", "improved, distorted", "recommended, distorted")
    ]
    steps = {(before[0], after[0]) for step, before, after in measures(networks) if "recommended" in step}
    assert steps == {("improved, distorted", "recommended, distorted")}


def test_gains_do_without_photos_and_without_partners():
    alone = Comparison(
        networks=(network("only", "own", True, always(0)),), validation={}, corruptions={}, factors={}, photos=None
    )
    assert gains(alone) == []


def test_networks_with_different_numbers_of_seeds_are_compared_by_their_means(comparison):
    photos = dict(comparison.photos)
    photos["improved", "resized"] = np.array([0.4])
    fewer = Comparison(networks=comparison.networks, validation={}, corruptions={}, factors={}, photos=photos)
    gain = next(gain for gain in gains(fewer) if gain.after == "improved, resized")
    assert np.allclose(gain.differences, [0.1])


def test_figures_are_mean_and_sample_deviation():
    assert over_trainings(np.array([0.1, 0.3])) == {
        "mean": pytest.approx(0.2),
        "deviation": pytest.approx(0.2 / np.sqrt(2)),
        "trainings": 2,
    }
    assert over_trainings(np.array([0.1]))["deviation"] is None


def test_the_document_is_json_and_complete(comparison):
    document = json.loads(json.dumps(comparison.to_dict(), allow_nan=False))
    assert set(document["corruptions"]["improved"]) == {"mean", *FAMILIES}
    assert len(document["photos"]) == 8 and len(document["factors"]) == 3 and len(document["gains"]) == 24


def test_every_result_has_a_picture_that_opens(comparison):
    pictures = comparison_pictures(comparison)
    assert set(pictures) == {"factor-size", "factor-polarity", "corruptions", "paths-simulated", "paths-photos"}
    for data in pictures.values():
        assert data.startswith(b"\x89PNG")
        height, width, _ = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape
        assert width > 500 and height > 100
