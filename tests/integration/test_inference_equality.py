"""The light inference answers as Keras does, for the same arrays and every validation digit."""

import keras
import numpy as np
import pytest

from digits.config import BASELINE, IMPROVED, RECOMMENDED, DataConfig
from digits.data.files import find_digits
from digits.data.read import read_without_ray
from digits.data.split import split_rows
from digits.images import to_rgb
from digits.models.inference import Classifier
from digits.models.network import build_model


@pytest.fixture(scope="module")
def validation_digits():
    files = find_digits()
    return read_without_ray(files, split_rows(files, DataConfig()), inverted_copies=True)[0]


@pytest.mark.parametrize(
    "architecture",
    [
        pytest.param(BASELINE, id="baseline"),
        pytest.param(IMPROVED, id="improved", marks=pytest.mark.long),
        pytest.param(RECOMMENDED, id="recommended", marks=pytest.mark.slow),
    ],
)
def test_probabilities_of_all_validation_digits_equal_those_of_keras(architecture, validation_digits):
    keras.utils.set_random_seed(0)
    model = build_model(architecture)
    weights = dict(zip(architecture.weight_shapes(), model.get_weights(), strict=True))
    classifier = Classifier(architecture, weights)
    assert len(validation_digits) == 28_000
    for start in range(0, len(validation_digits), 2_000):
        grey = validation_digits[start : start + 2_000]
        expected = np.asarray(model(to_rgb(grey), training=False))
        np.testing.assert_allclose(classifier.probabilities(grey), expected, atol=1e-6)
    np.testing.assert_allclose(classifier.probabilities(to_rgb(grey)), expected, atol=1e-6)
