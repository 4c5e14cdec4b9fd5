"""Figures that follow from predictions, against scikit-learn."""

import numpy as np
import pytest
from sklearn import metrics

from digits.evaluation.metrics import LabelledPredictions, evaluate


@pytest.fixture
def predictions():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 9, 500)  # no nine: its accuracy is unknown
    probabilities = rng.dirichlet(np.full(10, 0.3), 500)
    probabilities[np.arange(500), labels] += 0.5
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return LabelledPredictions(probabilities=probabilities.astype(np.float32), labels=labels)


def test_figures_agree_with_scikit_learn(predictions):
    labels, answers = predictions.labels, predictions.answers
    assert predictions.accuracy == pytest.approx(metrics.accuracy_score(labels, answers))
    probabilities = predictions.probabilities.astype(np.float64)
    expected = metrics.log_loss(labels, probabilities / probabilities.sum(1, keepdims=True), labels=range(10))
    assert predictions.loss == pytest.approx(expected, rel=1e-5)
    assert np.array_equal(predictions.confusion(), metrics.confusion_matrix(labels, answers, labels=range(10)))
    recalls = metrics.recall_score(labels, answers, labels=range(9), average=None)
    assert predictions.accuracy_by_digit()[:9] == pytest.approx(recalls)
    assert predictions.accuracy_by_digit()[9] is None


def test_mistakes_come_with_the_most_confident_first(predictions):
    mistakes = predictions.mistakes()
    assert (predictions.answers[mistakes] != predictions.labels[mistakes]).all()
    assert len(mistakes) == round(500 * (1 - predictions.accuracy))
    assert (np.diff(predictions.confidences[mistakes]) <= 0).all()


def test_an_answer_of_probability_zero_has_a_finite_loss():
    probabilities = np.eye(10, dtype=np.float32)[[3]]
    assert np.isfinite(LabelledPredictions(probabilities=probabilities, labels=np.array([4])).loss)


@pytest.mark.parametrize("shape", [(28, 28), (28, 28, 3)], ids=["grey", "colour"])
def test_every_image_is_predicted_once_in_its_own_shape(shape):
    brightness = np.arange(4_500, dtype=np.uint16).astype(np.uint8)
    images = brightness.reshape(-1, *(1 for _ in shape)) * np.ones(shape, np.uint8)
    seen = []

    def predict(batch):
        assert batch.dtype == np.uint8
        assert batch.shape[1:] == shape
        pixels = batch.reshape(len(batch), -1)[:, 0]
        seen.extend(pixels)
        return np.eye(10, dtype=np.float32)[pixels % 10]

    predictions = evaluate(predict, images, brightness % 10)
    assert np.array_equal(seen, brightness)
    assert predictions.accuracy == 1


def test_no_answer_is_wrong_for_every_label_and_costs_a_guess():
    probabilities = np.eye(10, dtype=np.float32)[[0, 3, 7]]
    probabilities[:2] = 0  # no digit was found in the first two photos
    predictions = LabelledPredictions(probabilities=probabilities, labels=np.array([0, 3, 7]))
    assert predictions.answers.tolist() == [-1, -1, 7]
    assert predictions.accuracy == pytest.approx(1 / 3)
    assert predictions.loss == pytest.approx(2 / 3 * np.log(10))
    assert predictions.confusion().sum() == 1
    assert predictions.accuracy_by_digit()[3] == 0
    assert predictions.mistakes().tolist() == [0, 1]
