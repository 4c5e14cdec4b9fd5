"""Photos of iPhones, sent to the service as they are."""

import sys

import pytest
from PIL import Image

from tests.unit.heic.making import heic
from tests.unit.service.pictures import SEVEN, assert_problem, drawn_digit

PHOTO = heic(Image.fromarray(drawn_digit()))


@pytest.mark.parametrize("content_type", ["image/heic", "application/octet-stream"])
def test_a_heic_photo_is_answered_as_the_same_photo_is_as_a_png(client, content_type):
    answer = client.post("/predict", content=PHOTO, headers={"content-type": content_type})
    assert answer.status_code == 200
    assert answer.json()["digit"] == client.post("/predict", content=SEVEN).json()["digit"]


def test_every_digit_of_a_turned_heic_photo_is_read_where_it_is_seen(client):
    photo = Image.fromarray(drawn_digit()).crop((0, 0, 280, 240))
    (digit,) = client.post("/read", content=heic(photo.transpose(Image.Transpose.ROTATE_90), 6)).json()["digits"]
    left, top, width, height = digit["box"]
    assert digit["digit"] == 7
    assert 40 < left + width / 2 < 240 and 60 < top + height / 2 < 220 and height > width


def test_a_damaged_heic_photo_and_one_without_a_decoder_are_refused(client, metrics, monkeypatch):
    assert_problem(client.post("/predict", content=PHOTO[: len(PHOTO) // 2]), 422)
    monkeypatch.setattr(sys, "path", [])
    for path in ("/predict", "/read"):
        assert "pip install 'digits[heic]'" in assert_problem(client.post(path, content=PHOTO), 415)
    assert metrics.reasons == ["damaged", "no_heic_decoder", "no_heic_decoder"]


def test_the_page_lets_heic_photos_be_chosen(client):
    assert 'id="file" type="file" accept="image/*,.heic,.heif"' in client.get("/").text
