"""What the record of a reader says of its making and its confidence."""

import json

import numpy as np
import pytest

from digits.evaluation.pages.score import PageScore, SimulatedScore
from digits.training.reader.finish import confidence_of, record_of
from digits.training.reader.run import PageRun, PageTraining
from tests.unit.training.reader.test_run import epoch


def test_confidence_is_judged_by_what_was_right():
    figures = confidence_of(np.array([0.95, 0.99, 0.5, 0.5]), np.array([True, False, True, False]))
    assert figures == {
        "digits": 4,
        "right": 0.5,
        "expected_calibration_error": pytest.approx((0.95 + 0.99 - 1) / 4),
        "over_0.9": 0.5,
        "right_over_0.9": 0.5,
    }


def test_a_reader_that_reads_nothing_yet_has_a_record_all_the_same():
    figures = confidence_of(np.zeros(0), np.zeros(0, bool))
    assert json.loads(json.dumps(figures, allow_nan=False)) == {
        "digits": 0,
        "right": None,
        "expected_calibration_error": None,
        "over_0.9": None,
        "right_over_0.9": None,
    }


def test_the_record_of_a_reader_has_every_epoch_and_says_which_one_it_is():
    run = PageRun(training=PageTraining(seed=4), architecture={}, fingerprint="")
    plain = PageScore.of([["12"]], [["13"]])
    score = SimulatedScore(by_condition={"plain": plain}, answered={"blank": 0}, pages_without_digits=1)
    record = json.loads(json.dumps(record_of(run, 2, (epoch(1), epoch(2, 0.1), epoch(3, 0.2)), score)))
    assert record["name"] == "reader-seed4-epoch002" and record["epoch"] == 2
    assert [one["epoch"] for one in record["history"]] == [1, 2, 3]
    assert record["simulated_pages"]["character_error_rate"] == 0.5
