"""What the record of a reader says of its confidence."""

import json

import numpy as np
import pytest

from digits.training.reader.finish import confidence_of


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
