"""How sure a reading sounds: the scale that is fitted gives the frequency with which digits are right."""

import numpy as np
import pytest

from digits.models.calibration import calibration_gap
from digits.reading.confidence import Confidence


@pytest.mark.parametrize(("slope", "offset"), [(1.0, 0.0), (0.5, 2.0), (2.0, -1.0)])
def test_a_fitted_scale_gives_how_often_digits_are_right(slope, offset):
    rng = np.random.default_rng(0)
    said = rng.uniform(0.05, 0.95, 20_000)
    true = Confidence(slope=slope, offset=offset)
    right = rng.random(len(said)) < [true(one) for one in said]
    fitted = Confidence.fit(said, right)
    assert fitted.slope == pytest.approx(slope, abs=0.1) and fitted.offset == pytest.approx(offset, abs=0.1)
    confidences = np.array([fitted(one) for one in said])
    assert calibration_gap(confidences, right) < 0.02 < calibration_gap(1 - confidences, right)


def test_a_fitted_scale_finds_what_doubts_take_away():
    rng = np.random.default_rng(0)
    said, doubts = rng.uniform(0.5, 0.999, 30_000), np.maximum(0, rng.normal(0, 2, 30_000))
    true = Confidence(slope=0.8, offset=1.0, doubt=-0.6)
    right = rng.random(len(said)) < [true(*each) for each in zip(said, doubts, strict=True)]
    fitted = Confidence.fit(said, right, doubts)
    assert fitted.doubt == pytest.approx(-0.6, abs=0.05) and fitted.slope == pytest.approx(0.8, abs=0.1)
    assert fitted(0.9, 3.0) < fitted(0.9) == fitted(0.9, 0.0)
    assert Confidence.fit(said, right).doubt == 0


@pytest.mark.parametrize("seed", range(5))
def test_the_likeliest_scale_is_found_where_next_to_all_digits_are_right(seed):
    rng = np.random.default_rng(seed)
    said = 1 / (1 + np.exp(-rng.uniform(4, 9, 900)))
    true = Confidence(slope=0.5, offset=1.2)
    right = rng.random(len(said)) < [true(one) for one in said]
    assert 0.97 < right.mean() < 1

    def cost(scale):
        p = np.array([scale(one) for one in said])
        return -np.log(np.where(right, p, 1 - p)).sum()

    fitted = Confidence.fit(said, right)
    around = [
        Confidence(slope=fitted.slope + a, offset=fitted.offset + b) for a in (-0.05, 0.05) for b in (-0.05, 0.05)
    ]
    assert cost(fitted) < min(map(cost, [*around, true, Confidence()]))


@pytest.mark.parametrize("scale", [Confidence(slope=0.5, offset=1.2), Confidence(slope=0.3, offset=-3.0)])
@pytest.mark.parametrize("likeliest", [0.45, 0.8, 1.0])
def test_an_answer_sounds_as_sure_as_its_scale_says_and_stays_the_answer(scale, likeliest):
    probabilities = np.array([0.0, likeliest, 0.75 * (1 - likeliest), 0.25 * (1 - likeliest), *[0] * 6], np.float32)
    scaled = scale.of_answer(probabilities)
    assert scaled.shape == (10,) and scaled.dtype == np.float32
    assert scaled.sum() == pytest.approx(1, abs=1e-6) and scaled.argmax() == 1
    assert scaled.max() >= scale(likeliest) - 1e-6
    if scale(likeliest) > 0.5:
        assert scaled.max() == pytest.approx(scale(likeliest), abs=1e-6)
    if likeliest < 1:
        assert scaled[2] / scaled[3] == pytest.approx(3, rel=1e-4)


def test_a_doubtful_answer_sounds_less_sure_and_stays_the_answer():
    probabilities = np.array([0.0, 0.9, 0.1, *[0] * 7], np.float32)
    scale = Confidence(slope=0.7, offset=0.5, doubt=-0.5)
    surely, hardly = scale.of_answer(probabilities), scale.of_answer(probabilities, 4.0)
    assert surely.argmax() == hardly.argmax() == 1 and hardly[1] < surely[1]
    assert hardly.sum() == pytest.approx(1, abs=1e-6)


def test_it_rises_and_stays_between_nothing_and_all():
    for confidence in (Confidence(), Confidence(slope=0.7, offset=3.0)):
        values = [confidence(said) for said in np.linspace(0, 1, 50)]
        assert values == sorted(values) and 0 <= values[0] < values[-1] <= 1


@pytest.mark.parametrize("right", [True, False])
def test_digits_that_are_all_right_or_all_wrong_have_a_finite_scale(right):
    fitted = Confidence.fit(np.linspace(0.1, 0.9, 40), np.full(40, right))
    assert np.isfinite([fitted.slope, fitted.offset]).all()
    assert (fitted(0.5) > 0.9) if right else (fitted(0.5) < 0.1)


def test_the_calibration_error_of_what_is_always_right_is_what_lacks_to_one():
    assert calibration_gap(np.full(10, 0.8), np.full(10, True)) == pytest.approx(0.2)
