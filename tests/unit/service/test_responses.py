"""What the API answers, to the last key: its document as clients know it, and how answers take its shapes.

    python -m tests.unit.service.test_responses > tests/unit/service/openapi.json

writes the document anew, where a change to it is meant.
"""

import base64
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import digits
from digits.images import decode_image
from digits.reading.answer import ReadDigit, Reading
from digits.service.api import create_api
from digits.service.responses import (
    as_json,
    describe_answer,
    describe_box,
    describe_reading,
    describe_sheet,
    seen_url,
)
from digits.service.service import Answer, Refusal, Service

RECORDED = Path(__file__).with_name("openapi.json")
SEEN = np.random.default_rng(0).integers(0, 256, (28, 28), dtype=np.uint8)
PROBABILITIES = np.linspace(0.0123456789, 0.1876543211, 10).astype(np.float32)
SIX_PLACES = [round(float(value), 6) for value in PROBABILITIES]
REFUSAL = Refusal(reason="not_a_digit", counted="blank", detail="nothing is drawn")
REFUSED = {"detail": "nothing is drawn", "reason": "not_a_digit"}


def document() -> dict:
    """/openapi.json, but for the product's version."""
    described = create_api(Service()).openapi()
    del described["info"]["version"]
    return described


def test_the_document_is_the_one_that_clients_know():
    assert document() == json.loads(RECORDED.read_text(encoding="utf-8")), __doc__


def test_the_document_tells_the_products_version(monkeypatch):
    monkeypatch.setattr(digits, "__version__", "9.8.7")
    assert create_api(Service()).openapi()["info"]["version"] == "9.8.7"


def digit(seen=None) -> ReadDigit:
    return ReadDigit(
        digit=9,
        confidence=0.98765432,
        probabilities=PROBABILITIES,
        box=(1.04, 2.06, 30.0, 40.55),
        line=1,
        number=2,
        seen=seen,
    )


DIGIT = {
    "digit": 9,
    "confidence": 0.987654,
    "probabilities": SIX_PLACES,
    "box": [1.0, 2.1, 30.0, 40.5],
    "line": 1,
    "number": 2,
}


def test_an_answer():
    answer = Answer(digit=9, confidence=0.18765432, probabilities=PROBABILITIES, seen=SEEN)
    plain = {"digit": 9, "confidence": 0.187654, "probabilities": SIX_PLACES, "model": "a"}
    assert describe_answer(answer, "a", explain=False) == plain
    assert describe_answer(answer, "a", explain=True) == {**plain, "image": seen_url(SEEN)}


@pytest.mark.parametrize(
    ("seen", "explain", "image"),
    [(None, False, {}), (None, True, {}), (SEEN, False, {}), (SEEN, True, {"image": seen_url(SEEN)})],
)
def test_a_reading(seen, explain, image):
    reading = Reading(digits=(digit(seen),), rotation=90)
    assert describe_reading(reading, "a", explain) == {
        "text": "9",
        "numbers": ["9"],
        "digits": [{**DIGIT, **image}],
        "rotation": 90,
        "model": "a",
    }


def box(digit, confidence, baseline):
    return SimpleNamespace(
        box=SimpleNamespace(label=3, row=1, column=4, empty=digit is None),
        digit=digit,
        confidence=confidence,
        baseline=baseline,
        shown=lambda: b"a jpeg",
    )


def test_a_sheet():
    described = {"label": 3, "row": 1, "column": 4, "empty": False, "digit": 3, "confidence": 0.123457, "baseline": 8}
    empty = {"label": 3, "row": 1, "column": 4, "empty": True, "digit": None, "confidence": None, "baseline": None}
    written, blank = box(3, 0.1234567, 8), box(None, None, None)
    assert describe_box(written, explain=False) == described and describe_box(blank, explain=False) == empty
    image = f"data:image/jpeg;base64,{base64.b64encode(b'a jpeg').decode()}"
    assert describe_box(written, explain=True) == {**described, "image": image}
    sheet = SimpleNamespace(boxes=[written, blank], written=1, read=1, baseline_read=0)
    answer = {"boxes": [described, empty], "written": 1, "read": 1, "baseline_read": 0, "model": "a"}
    assert describe_sheet(sheet, "a", explain=False) == answer


@pytest.mark.parametrize("describe", [describe_answer, describe_reading, describe_sheet])
@pytest.mark.parametrize("explain", [False, True])
def test_a_refusal_is_told_alike_everywhere(describe, explain):
    assert describe(REFUSAL, "a", explain) == REFUSED


def test_what_the_network_saw_is_a_png():
    head, _, data = seen_url(SEEN).partition(",")
    assert head == "data:image/png;base64"
    assert (decode_image(base64.b64decode(data)) == SEEN[..., None]).all()


def test_json_is_packed_tightly_and_holds_only_numbers_that_json_knows():
    response = as_json({"a": [1, 2]})
    assert response.body == b'{"a":[1,2]}' and response.media_type == "application/json"
    with pytest.raises(ValueError):
        as_json({"a": float("nan")})


if __name__ == "__main__":
    print(json.dumps(document(), indent=1))
