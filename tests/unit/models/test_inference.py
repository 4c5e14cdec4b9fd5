"""The prediction function against a plain numpy network written from the architecture's words."""

import numpy as np
import pytest

from digits.config import BASELINE, IMPROVED, Architecture
from digits.errors import CheckpointError, InferenceError
from digits.images import to_rgb
from digits.models.calibration import UsualEnergy
from digits.models.inference import UNKNOWN_FAMILIARITY, Classifier, built


def random_weights(architecture: Architecture, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        name: (rng.normal(size=shape) / np.sqrt(np.prod(shape[:-1]))).astype(np.float32)
        if name.endswith("kernel")
        else rng.normal(scale=0.1, size=shape).astype(np.float32)
        for name, shape in architecture.weight_shapes().items()
    }


def numpy_logits(architecture: Architecture, weights: dict[str, np.ndarray], images: np.ndarray) -> np.ndarray:
    """The network in float64, channels last, straight from its definition."""
    x = images.astype(np.float64) / 255
    for index in range(len(architecture.filters)):
        kernel = weights[f"conv_{index}/kernel"].astype(np.float64)
        windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(1, 2))  # (N, H, W, C, 3, 3)
        x = np.einsum("nhwcij,ijcf->nhwf", windows, kernel, optimize=True) + weights[f"conv_{index}/bias"]
        x = np.maximum(x, 0)
        if index in architecture.pool_after:
            size = x.shape[1] // 2
            x = x[:, : 2 * size, : 2 * size].reshape(len(x), size, 2, size, 2, -1).max(axis=(2, 4))
    x = x.reshape(len(x), -1)
    if architecture.dense_units is not None:
        x = np.maximum(x @ weights["dense/kernel"] + weights["dense/bias"], 0)
    return x @ weights["output/kernel"] + weights["output/bias"]


def random_images(count: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 28, 28, 3), dtype=np.uint8)


ODD = Architecture(filters=(4, 5), dropouts=(0.1, 0.0), dense_units=7, pool_after=(1,))


@pytest.mark.parametrize("architecture", [BASELINE, IMPROVED, ODD], ids=["baseline", "improved", "odd"])
def test_logits_equal_the_definition(architecture):
    weights, images = random_weights(architecture), random_images(9)
    expected = numpy_logits(architecture, weights, images)
    np.testing.assert_allclose(Classifier(architecture, weights).logits(images), expected, rtol=1e-4, atol=1e-5)


def test_probabilities_are_the_softmax_of_logits_over_temperature():
    images = random_images(5)
    classifier = Classifier(BASELINE, random_weights(BASELINE), temperature=1.7)
    scaled = classifier.logits(images).astype(np.float64) / 1.7
    expected = np.exp(scaled) / np.exp(scaled).sum(axis=1, keepdims=True)
    probabilities = classifier.probabilities(images)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, expected, atol=1e-7)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)


def test_an_answer_does_not_depend_on_its_neighbours_in_the_batch():
    images = random_images(700)
    classifier = Classifier(BASELINE, random_weights(BASELINE))
    together = classifier.probabilities(images)
    alone = np.concatenate([classifier.probabilities(images[i : i + 1]) for i in (0, 255, 256, 699)])
    np.testing.assert_allclose(together[[0, 255, 256, 699]], alone, atol=1e-6)


@pytest.mark.parametrize("architecture", [BASELINE, IMPROVED, ODD], ids=["baseline", "improved", "odd"])
def test_a_grey_image_is_answered_like_the_same_image_in_three_equal_channels(architecture):
    weights, grey = random_weights(architecture), random_images(70)[..., 0]
    classifier = Classifier(architecture, weights)
    expected = numpy_logits(architecture, weights, to_rgb(grey))
    np.testing.assert_allclose(classifier.logits(grey), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(classifier.probabilities(grey), classifier.probabilities(to_rgb(grey)), atol=1e-6)


def test_no_images_give_no_rows():
    for images in (random_images(0), random_images(0)[..., 0]):
        assert Classifier(BASELINE, random_weights(BASELINE)).probabilities(images).shape == (0, 10)


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((1, 28, 28, 3), np.float32),
        np.zeros((28, 28, 3), np.uint8),
        np.zeros((28, 28), np.uint8),
        np.zeros((1, 28, 28, 1), np.uint8),
        [[0]],
    ],
    ids=["dtype", "one colour image", "one grey image", "channels", "list"],
)
def test_images_that_break_the_contract_are_refused(images):
    with pytest.raises(InferenceError, match="expected: an array uint8"):
        Classifier(BASELINE, random_weights(BASELINE)).probabilities(images)


def test_weights_of_another_architecture_are_refused():
    with pytest.raises(InferenceError, match="expected"):
        Classifier(IMPROVED, random_weights(BASELINE))


def test_weights_that_are_not_finite_are_refused():
    weights = random_weights(BASELINE)
    weights["output/bias"] = np.full(10, np.nan, np.float32)
    with pytest.raises(InferenceError, match="output/bias"):
        Classifier(BASELINE, weights)


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_a_temperature_that_cannot_be_is_refused(temperature):
    with pytest.raises(InferenceError, match="temperature"):
        Classifier(BASELINE, random_weights(BASELINE), temperature=temperature)


GREY, COLOUR = built(BASELINE, random_weights(BASELINE))


@pytest.mark.parametrize(
    ("graphs", "told"),
    [
        ((b"garbage", COLOUR), r"graph for images in grey cannot be run: .*protobuf"),
        ((GREY, b"garbage"), r"graph for images in colour cannot be run: .*protobuf"),
        ((b"", COLOUR), r"graph for images in grey cannot be run"),
        ((GREY[: len(GREY) // 2], COLOUR), r"graph for images in grey cannot be run"),
        ((COLOUR, COLOUR), r"graph for images in grey takes .*(.|\n)*\[N, 28, 28, 1\]"),
        ((GREY, GREY), r"graph for images in colour takes .*(.|\n)*\[N, 28, 28, 3\]"),
    ],
    ids=["grey is garbage", "colour is garbage", "nothing", "half of it", "grey is in colour", "colour is in grey"],
)
def test_graphs_that_cannot_be_run_are_a_fault_of_the_checkpoint(graphs, told):
    weights = random_weights(BASELINE)
    assert Classifier(BASELINE, weights, graphs=(GREY, COLOUR)).probabilities(random_images(1)).shape == (1, 10)
    with pytest.raises(CheckpointError, match=told):
        Classifier(BASELINE, weights, graphs=graphs)


def test_answers_are_probabilities_with_how_familiar_each_image_looks():
    images = np.random.default_rng(4).integers(0, 256, (5, 28, 28), dtype=np.uint8)
    weights, usual = random_weights(BASELINE, 3), UsualEnergy(mean=2.0, std=0.5)
    network = Classifier(BASELINE, weights, temperature=1.5, usual_energy=usual)
    answers = network.answers(images)
    assert np.array_equal(answers.probabilities, network.probabilities(images))
    assert answers.familiarity == pytest.approx(usual.familiarity(network.logits(images) / 1.5))
    unknown = Classifier(BASELINE, weights, temperature=1.5).answers(images)
    assert np.array_equal(unknown.familiarity, np.full(5, UNKNOWN_FAMILIARITY, np.float32))
