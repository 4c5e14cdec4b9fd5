"""Errors in three parts."""

import pickle
import re
from pathlib import Path

import pytest

from digits import errors
from digits.errors import CheckpointError, ConfigurationError, NoDigitFound, UserError, require

ROOT = Path(__file__).resolve().parents[2]
ALL = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, UserError)]


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_kind_tells_its_three_parts(kind):
    error = kind("the sun is out", "rain", "wait")

    assert str(error) == "the sun is out\n  expected: rain\n  what to do: wait"


def test_an_error_survives_the_way_from_another_process():
    sent = NoDigitFound("the picture is blank", "a digit", "write one", reason="blank")

    arrived = pickle.loads(pickle.dumps(sent))

    assert str(arrived) == str(sent)
    assert arrived.reason == "blank"


def test_a_kind_of_error_may_know_what_is_usually_expected_and_what_helps():
    assert str(CheckpointError("there is none")) == (
        "there is none\n  expected: a checkpoint folder written by digits\n"
        "  what to do: name another checkpoint, or make one with: make train"
    )


def test_an_error_without_a_way_out_is_a_bug():
    with pytest.raises(AssertionError):
        ConfigurationError("the sun is out", "rain")


def test_require_raises_only_where_the_condition_fails():
    require(True, "", "", "")
    with pytest.raises(ConfigurationError, match="rain"):
        require(False, "the sun is out", "rain", "wait")


def test_no_other_file_puts_the_three_parts_together():
    typed_by_hand = [
        path.relative_to(ROOT)
        for folder in ("digits", "jobs", "serve")
        for path in (ROOT / folder).rglob("*.py")
        if re.search(r"\\n\s*expected: |^\s*f?\"\s*expected: ", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]

    assert typed_by_hand == [Path("digits/errors.py")]
