"""POST /read: every digit of a picture; and what POST /predict says of pictures that do not show just one."""

import base64

import numpy as np
import pytest
from starlette.testclient import TestClient

from digits.errors import NotADigit
from digits.evaluation.pages.score import edit_distance
from digits.evaluation.pages.simulated import CONDITIONS, PLAIN, simulated_page
from digits.evaluation.pages.without_digits import page_without_digits
from digits.images import decode_image, encode_png
from digits.reading.networks import read
from digits.service.api import create_api
from digits.service.service import Service
from tests.unit.service.pictures import SEVEN, assert_problem, bomb


@pytest.fixture(scope="module")
def page(read_mnist):
    return simulated_page(*read_mnist("train-11-of-12"), np.random.default_rng((90, 0)), PLAIN)


@pytest.fixture(scope="module")
def sheet(page) -> bytes:
    return encode_png(page.picture)


def wall() -> bytes:
    """Cloth, wood or leaves: no digit."""
    return encode_png(page_without_digits("texture", np.random.default_rng((79, 0))))


def test_every_digit_of_a_page_is_answered_as_the_networks_in_service_read_it(client, service, page, sheet):
    answer = client.post("/read", content=sheet).json()
    reading = service.model.networks.read(page.picture)
    assert (answer["text"], answer["numbers"]) == (reading.text, reading.numbers)
    assert (answer["rotation"], answer["model"]) == (0, "baseline")
    assert len(answer["digits"]) == len(reading.digits) > 5
    for sent, one in zip(answer["digits"], reading.digits, strict=True):
        assert (sent["digit"], sent["line"], sent["number"]) == (one.digit, one.line, one.number)
        assert sent["box"] == pytest.approx(one.box, abs=0.06)
        assert sent["confidence"] == pytest.approx(one.confidence, abs=1e-6)
        assert sent["probabilities"] == pytest.approx(one.probabilities.tolist(), abs=1e-6)
        assert "image" not in sent


def test_what_it_reads_is_what_stands_there(client, page, sheet):
    lines = client.post("/read", content=sheet).json()["text"].replace(" ", "").splitlines()
    assert len(lines) == len(page.lines)
    assert sum(edit_distance(*pair) for pair in zip(lines, page.lines, strict=True)) <= 1


def test_explain_adds_each_digit_in_28x28_upright(client, page, sheet):
    straight = client.post("/read?explain=true", content=sheet).json()["digits"]
    turned = np.ascontiguousarray(np.rot90(page.picture))
    answer = client.post("/read?explain=true", content=encode_png(turned)).json()
    assert answer["rotation"] == 90 and len(answer["digits"]) == len(straight)
    for one, other in zip(straight, answer["digits"], strict=True):
        images = [
            decode_image(base64.b64decode(digit["image"].removeprefix("data:image/png;base64,")))
            for digit in (one, other)
        ]
        assert images[0].shape == images[1].shape == (28, 28, 3)
        assert np.corrcoef(images[0].ravel(), images[1].ravel())[0, 1] > 0.7


def test_pictures_of_digits_are_made_only_where_somebody_asks(service, sheet):
    (plain,) = service.read(service.model, [sheet])
    (explained,) = service.read(service.model, [sheet], explain=True)
    assert all(one.seen is None for one in plain.digits) and all(one.seen is not None for one in explained.digits)


@pytest.mark.parametrize(("path", "key"), [("/read", "pictures"), ("/predict", "predictions")])
def test_two_files_are_several(client, path, key):
    answer = client.post(path, files=[("file", ("a", SEVEN)), ("file", ("b", SEVEN))]).json()
    assert answer == {key: [client.post(path, content=SEVEN).json()] * 2}


def test_several_files_keep_their_order_and_a_bad_one_spoils_none(client, metrics, page, sheet):
    files = [("file", ("a", sheet)), ("file", ("b", b"text")), ("file", ("c", wall())), ("file", ("d", SEVEN))]
    first, second, third, fourth = client.post("/read", files=files).json()["pictures"]
    assert first["numbers"] == read(page.picture).numbers
    assert second["reason"] == "unknown_format" and "not a picture" in second["detail"]
    assert third["reason"] == "not_a_digit"
    assert len(fourth["digits"]) == 1
    assert metrics.reasons == ["unknown_format", "not_a_digit"]


def test_a_picture_of_one_digit_is_read_as_predict_reads_it(client):
    predicted = client.post("/predict?explain=true", content=SEVEN).json()
    answer = client.post("/read?explain=true", content=SEVEN).json()
    (one,) = answer["digits"]
    assert {key: one[key] for key in ("digit", "confidence", "probabilities", "image")} == {
        key: predicted[key] for key in ("digit", "confidence", "probabilities", "image")
    }
    left, top, width, height = one["box"]
    assert abs(left + width / 2 - 145) < 25 and abs(top + height / 2 - 140) < 25 and height > 130
    assert (answer["text"], answer["numbers"]) == (str(one["digit"]), [str(one["digit"])])


def test_predict_says_that_there_are_several_digits_and_how_to_read_them(client, metrics, page, sheet):
    response = client.post("/predict", content=sheet)
    detail = assert_problem(response, 422)
    assert response.json()["reason"] == "several_digits"
    assert "POST /read" in detail and any(word.isdigit() and int(word) > 1 for word in detail.split())
    assert metrics.reasons == ["several_digits"] and metrics.digits == []


@pytest.mark.parametrize("path", ["/predict", "/read"])
def test_what_is_no_digit_is_not_a_digit(client, metrics, path):
    response = client.post(path, content=wall())
    assert_problem(response, 422)
    assert response.json()["reason"] == "not_a_digit" and len(metrics.reasons) == 1


def test_two_digits_in_28x28_are_two(client, read_mnist):
    reasons = []
    for seed in range(8):
        two = simulated_page(
            *read_mnist("train-11-of-12"), np.random.default_rng((91, seed)), CONDITIONS["two in 28x28"]
        )
        response = client.post("/predict", content=encode_png(two.picture))
        reasons.append(response.json().get("reason", "answered"))
    assert reasons.count("answered") <= 2 and reasons.count("several_digits") >= 6


@pytest.mark.parametrize(
    ("data", "status", "reason"),
    [
        (b"", 422, "empty"),
        (b"just text", 415, "unknown_format"),
        (SEVEN[: len(SEVEN) // 2], 422, "damaged"),
        (bomb(), 413, "too_many_pixels"),
        (encode_png(np.full((200, 200, 3), 255, np.uint8)), 422, "not_a_digit"),
    ],
    ids=["empty", "text", "truncated", "bomb", "blank"],
)
def test_what_cannot_be_read_is_refused_with_the_reason(client, metrics, data, status, reason):
    response = client.post("/read", content=data)
    assert_problem(response, status)
    assert response.json()["reason"] == reason and metrics.reasons == [reason]


def test_reading_is_counted_by_digit_and_stage(client, metrics, sheet):
    answer = client.post("/read", content=sheet).json()
    assert metrics.digits == [one["digit"] for one in answer["digits"]] and metrics.stages == ["read"]
    assert metrics.confidences == pytest.approx([one["confidence"] for one in answer["digits"]], abs=1e-6)
    assert 0 < metrics.seconds[0] < 60


def test_without_a_model_nothing_is_read(sheet):
    with TestClient(create_api(Service())) as client:
        assert_problem(client.post("/read", content=sheet), 503)


def test_the_reader_alone_refuses_it_too():
    with pytest.raises(NotADigit):
        read(wall())
