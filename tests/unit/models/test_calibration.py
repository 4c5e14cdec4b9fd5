"""Temperature and calibration error against grid search and closed forms."""

import numpy as np
import pytest

from digits.errors import CalibrationError
from digits.models.calibration import (
    UsualEnergy,
    energy,
    expected_calibration_error,
    fit_temperature,
    held_out_calibration_error,
)
from digits.models.inference import softmax


def drawn_from(logits: np.ndarray, seed: int) -> np.ndarray:
    """Labels drawn from softmax(logits): the scores are then calibrated by construction."""
    rng = np.random.default_rng(seed)
    return (softmax(logits).cumsum(axis=1) < rng.random((len(logits), 1))).sum(axis=1).clip(max=9)


@pytest.mark.parametrize("true_temperature", [0.5, 1.0, 2.5])
def test_the_temperature_that_made_the_labels_is_found(true_temperature):
    calibrated = np.random.default_rng(0).normal(scale=3, size=(20_000, 10))
    labels = drawn_from(calibrated, seed=1)
    assert fit_temperature(calibrated * true_temperature, labels) == pytest.approx(true_temperature, rel=0.05)


def test_no_temperature_of_a_fine_grid_is_better():
    logits = np.random.default_rng(2).normal(scale=4, size=(500, 10))
    labels = drawn_from(logits / 1.8, seed=3)

    def loss(temperature):
        return -np.log(softmax(logits / temperature)[np.arange(500), labels]).mean()

    best = fit_temperature(logits, labels)
    assert loss(best) <= min(loss(t) for t in np.linspace(0.1, 10, 2000)) + 1e-9


def test_two_scores_have_a_closed_form():
    # 3 of 4 rows right at a margin of 5: p = 3/4, so 5 / T = log 3.
    logits = np.tile([5.0, 0.0], (4, 1))
    assert fit_temperature(logits, np.array([0, 0, 0, 1])) == pytest.approx(5 / np.log(3), rel=1e-5)


def test_rows_without_an_error_give_a_finite_temperature():
    logits = np.eye(10) * 8
    assert 0 < fit_temperature(logits, np.arange(10)) < 0.5


def test_calibration_error_of_hand_made_rows():
    # Two rows at 0.9, one right: gap |0.9 - 0.5|. Two rows at 0.6, both right: gap |0.6 - 1|.
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.6, 0.4]])
    assert expected_calibration_error(probabilities, np.array([0, 1, 0, 0])) == pytest.approx(0.4)


def test_calibrated_rows_have_almost_no_calibration_error():
    logits = np.random.default_rng(4).normal(scale=3, size=(50_000, 10))
    labels = drawn_from(logits, seed=5)
    assert expected_calibration_error(softmax(logits), labels) < 0.01
    assert expected_calibration_error(softmax(logits * 3), labels) > 0.05


def test_the_held_out_error_is_judged_with_the_temperature_of_the_other_half():
    rng = np.random.default_rng(3)
    logits = rng.normal(scale=3, size=(4_000, 10))
    labels = drawn_from(logits, seed=4)
    halves = rng.permutation(4_000) < 2_000
    # Sure in one half, unsure in the other: a temperature fitted on both would look better than either foresees.
    logits[halves] *= 4
    first, second = (fit_temperature(logits[half], labels[half]) for half in (halves, ~halves))
    expected = softmax(np.where(halves[:, None], logits / second, logits / first))
    error = held_out_calibration_error(logits, labels, halves)
    assert error == pytest.approx(expected_calibration_error(expected, labels))
    fitted_on_all = expected_calibration_error(softmax(logits / fit_temperature(logits, labels)), labels)
    assert error > fitted_on_all + 0.05
    assert held_out_calibration_error(logits, labels, ~halves) == error
    for empty in (np.zeros(4_000, bool), np.ones(4_000, bool)):
        with pytest.raises(CalibrationError):
            held_out_calibration_error(logits, labels, empty)


def test_sure_and_right_is_zero_and_sure_and_wrong_is_one():
    rows = np.eye(10)
    assert expected_calibration_error(rows, np.arange(10)) == 0
    assert expected_calibration_error(rows, (np.arange(10) + 1) % 10) == 1


@pytest.mark.parametrize(
    ("scores", "labels"),
    [
        (np.zeros((0, 10)), np.zeros(0, int)),
        (np.zeros((2, 10)), np.zeros(3, int)),
        (np.zeros((2, 10)), np.array([0, 10])),
        (np.full((1, 10), np.nan), np.array([0])),
    ],
    ids=["empty", "length", "label", "nan"],
)
def test_what_cannot_be_calibrated_is_refused(scores, labels):
    with pytest.raises(CalibrationError, match="expected"):
        fit_temperature(scores, labels)


def test_the_energy_score_is_the_logarithm_of_a_sum_and_finite_however_high_the_logits():
    logits = np.random.default_rng(5).normal(scale=3, size=(50, 10))
    assert energy(logits) == pytest.approx(np.log(np.exp(logits).sum(axis=1)))
    assert energy(logits + 5000) == pytest.approx(energy(logits) + 5000)
    assert energy(np.zeros((1, 10))) == pytest.approx([np.log(10)])


def test_what_is_usual_has_a_familiarity_around_0_and_low_logits_have_a_low_one():
    logits = np.random.default_rng(6).normal(scale=3, size=(5000, 10)).astype(np.float32)
    usual = UsualEnergy.of(logits)
    found = usual.familiarity(logits)
    assert found.dtype == np.float32 and found.shape == (5000,)
    assert (found.mean(), found.std()) == (pytest.approx(0, abs=1e-4), pytest.approx(1, abs=1e-4))
    assert usual.familiarity(logits - 2 * usual.std).mean() == pytest.approx(-2, abs=1e-4)
    # The softmax does not tell these apart.
    assert softmax(logits - 2 * usual.std) == pytest.approx(softmax(logits), abs=1e-5)


def test_a_network_that_says_the_same_of_every_digit_has_an_energy_score_too():
    usual = UsualEnergy.of(np.zeros((9, 10)))
    assert usual.std > 0 and np.isfinite(usual.familiarity(np.zeros((2, 10)))).all()
