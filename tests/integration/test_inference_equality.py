"""The light inference answers as Keras does, for the same arrays."""

import keras
import numpy as np
import pytest

from digits.config import BASELINE, IMPROVED
from digits.inference import Classifier
from digits.models import build_model


@pytest.mark.parametrize("architecture", [BASELINE, IMPROVED], ids=["baseline", "improved"])
def test_probabilities_equal_those_of_keras(architecture):
    keras.utils.set_random_seed(0)
    model = build_model(architecture)
    weights = dict(zip(architecture.weight_shapes(), model.get_weights(), strict=True))
    images = np.random.default_rng(0).integers(0, 256, (300, 28, 28, 3), dtype=np.uint8)
    expected = np.asarray(model(images, training=False))
    np.testing.assert_allclose(Classifier(architecture, weights).probabilities(images), expected, atol=1e-6)
