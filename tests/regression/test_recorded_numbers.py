"""What the code computed before it became packages it computes still: trainings, a search, answers, earlier runs."""

import json
import shutil
from pathlib import Path

import pytest

from tests.regression import product

TOLERANCE = 1e-4
"""Relative difference of losses and other figures that counts as equal: sums of other threads differ by less."""
TOLERANCES = {"both": TOLERANCE, "recommended": 1e-3}
"""For each training. Distorted digits differ by a grey level here and there between kinds of processors: the record's
are an AMD EPYC's, and an Intel Xeon's second epoch has another validation loss by 5e-4."""
COUNTED = ("train_accuracy", "validation_accuracy", "photo_score")
COUNTED_TOLERANCE = 0.005
"""Difference of fractions of digits that counts as equal: three of 640 that lie between two answers, which other
processors round otherwise."""
PROBABILITY_TOLERANCE = 1e-5
"""Absolute difference of probabilities that counts as equal; they are recorded with seven digits."""
NETWORK = "baseline-seed0"


def recorded(part):
    return json.loads((product.RECORDED / f"{part}.json").read_text())


def recorded_run(checkpoint):
    """The folder of the recorded run that holds a checkpoint of this name."""
    (path,) = (product.RECORDED / product.RUNS).glob(f"*/{checkpoint}")
    return path.parent


def assert_same(found, expected, where="", tolerance=TOLERANCE):
    """Both have the same keys, lengths, texts and, within the tolerance, numbers."""
    if isinstance(expected, dict):
        assert sorted(found) == sorted(expected), where
        for key, value in expected.items():
            assert_same(found[key], value, f"{where}/{key}", tolerance)
    elif isinstance(expected, list):
        assert len(found) == len(expected), where
        for place, (one, other) in enumerate(zip(found, expected, strict=True)):
            assert_same(one, other, f"{where}/{place}", tolerance)
    elif isinstance(expected, float) and where.rpartition("/")[2] in COUNTED:
        assert found == pytest.approx(expected, abs=COUNTED_TOLERANCE), where
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=tolerance), where
    else:
        assert found == expected, where


@pytest.fixture
def folder(tmp_path):
    """A folder as the recorded jobs ran in: the few digits, and the runs so far."""
    for name in (product.DIGITS, product.RUNS):
        shutil.copytree(product.RECORDED / name, tmp_path / name)
    return tmp_path


def test_200_pictures_get_the_answers_of_the_record():
    expected = recorded("answers")
    found = product.answers({"storage_path": str(product.RECORDED / product.RUNS)}, product.pictures())
    assert len(expected) == len(found) == 200
    others = [number for number, (one, other) in enumerate(zip(found, expected, strict=True)) if differ(one, other)]
    assert not others, f"pictures {others} have other answers, the first of them {found[others[0]]}"


def differ(answer, expected):
    """Whether two answers are not the same digit with the same probabilities, or not the same refusal."""
    if "digit" not in answer or "digit" not in expected:
        return answer != expected
    near = pytest.approx(expected["probabilities"], abs=PROBABILITY_TOLERANCE)
    return answer["digit"] != expected["digit"] or answer["probabilities"] != near


def test_the_recorded_answers_are_worth_comparing():
    expected = recorded("answers")
    _, labels = product.held_out_digits()
    right = sum(answer.get("digit") == label for answer, label in zip(expected, labels, strict=False))
    assert right > 100
    assert {answer["digit"] for answer in expected if "digit" in answer} == set(range(10))
    assert len({answer["reason"] for answer in expected if "reason" in answer}) >= 5


@pytest.mark.slow
@pytest.mark.parametrize("name", ["both", pytest.param("recommended", marks=pytest.mark.long)])
def test_a_short_training_has_the_losses_of_the_record(name, folder):
    found = product.histories(product.train(folder, *product.TRAININGS[name])["run_dir"])
    assert found
    assert_same(found, {name: recorded("training")[name] for name in found}, tolerance=TOLERANCES[name])


@pytest.mark.long
def test_a_search_has_the_networks_and_scores_of_the_record(folder):
    assert_same(product.search(folder), recorded("search"))


@pytest.mark.long
def test_an_earlier_run_goes_on_as_if_it_had_not_been_interrupted_and_is_served(folder):
    begun = recorded_run(f"{NETWORK}-epoch001").name
    assert not (folder / product.RUNS / begun / NETWORK).exists()
    document = product.run_job("train", folder, "--resume", begun, "--storage-path", product.RUNS)
    run_dir = Path(document["run_dir"])
    assert run_dir.name == begun
    assert_same(product.histories(run_dir)[NETWORK], recorded("training")[NETWORK])
    of_earlier_epoch = (product.RECORDED / product.RUNS / begun / f"{NETWORK}-epoch001" / "weights.npz").read_bytes()
    assert (run_dir / f"{NETWORK}-epoch001" / "weights.npz").read_bytes() == of_earlier_epoch
    files = product.pictures()[-10:-7]
    readable, also, blank = product.answers({"checkpoint": str(run_dir / NETWORK)}, files)
    assert {"digit", "probabilities"} == set(readable) == set(also)
    assert blank["reason"] == "blank"


@pytest.mark.slow
def test_an_earlier_checkpoint_gets_the_judgement_of_the_record(folder):
    checkpoint = folder / product.RUNS / recorded_run(NETWORK).name / NETWORK
    assert_same(product.evaluate(folder, checkpoint), recorded("evaluation"))
