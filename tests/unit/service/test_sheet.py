"""POST /sheet: the fifty boxes of a photo, read by the model in service and by the article's network."""

import base64

import cv2
import pytest
from starlette.testclient import TestClient

from digits.images import decode_image, encode_png
from digits.models.registry import SHIPPED, SHIPPED_BASELINE, Registry
from digits.reading.networks import Networks
from digits.service.api import create_api
from digits.service.service import Service
from digits.storage import Storage
from tests.unit.service.pictures import SEVEN, RecordingMetrics, assert_problem, bomb


@pytest.fixture(scope="module")
def metrics():
    return RecordingMetrics()


@pytest.fixture
def client(metrics):
    service = Service(metrics)
    service.swap({"checkpoint": "shipped"})
    metrics.__init__()
    with TestClient(create_api(service), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="module")
def photo(filled_sheet):
    return encode_png(filled_sheet)


def test_each_box_is_answered_by_both_networks_and_what_they_read_is_counted_up(client, metrics, photo):
    answer = client.post("/sheet", content=photo).json()
    boxes = answer["boxes"]
    assert [(box["row"], box["column"]) for box in boxes] == [(row, column) for row in range(5) for column in range(10)]
    assert all(box["label"] == box["column"] for box in boxes)
    assert [(box["row"], box["column"]) for box in boxes if box["empty"]] == [(1, 7), (4, 0)]
    for box in boxes:
        assert set(box) == {"label", "row", "column", "empty", "digit", "confidence", "baseline"}
        if box["empty"]:
            assert box["digit"] is box["confidence"] is box["baseline"] is None
        else:
            assert 0 <= box["baseline"] <= 9 and 0 < box["confidence"] <= 1
    assert answer["written"] == 48 and answer["model"] == "recommended-seed0"
    assert answer["read"] == sum(box["digit"] == box["label"] for box in boxes) >= 47
    assert answer["baseline_read"] == sum(box["baseline"] == box["label"] for box in boxes) < 40
    assert metrics.stages == ["sheet"] and 0 < metrics.seconds[0] < 60
    assert metrics.digits == [box["digit"] for box in boxes if not box["empty"]]


def test_explain_adds_a_picture_of_each_box_and_forms_are_taken(client, photo):
    answer = client.post("/sheet?explain=true", files={"file": photo}).json()
    for box in answer["boxes"]:
        kind, _, data = box["image"].partition(",")
        assert kind == "data:image/jpeg;base64" and decode_image(base64.b64decode(data)).shape == (84, 84, 3)


def test_several_sheets_keep_their_order_and_what_is_none_spoils_nothing(client, metrics, photo):
    first, second = client.post("/sheet", files=[("file", SEVEN), ("file", photo)]).json()["sheets"]
    assert first["reason"] == "not_a_sheet" and second["written"] == 48
    assert metrics.reasons == ["not_a_sheet"]


@pytest.mark.parametrize(
    ("kind", "status", "reason"),
    [
        ("digit", 422, "not_a_sheet"),
        ("small", 422, "too_small"),
        ("text", 415, "unknown_format"),
        ("bomb", 413, "too_many_pixels"),
        ("damaged", 422, "damaged"),
    ],
)
def test_what_is_refused_is_told_with_its_reason(client, metrics, filled_sheet, photo, kind, status, reason):
    small = cv2.resize(filled_sheet, None, fx=0.3, fy=0.3, interpolation=cv2.INTER_AREA)
    sent = {"digit": SEVEN, "small": encode_png(small), "text": b"text", "bomb": bomb(), "damaged": photo[:9999]}[kind]
    response = client.post("/sheet", content=sent)
    detail = assert_problem(response, status)
    assert "expected: " in detail and "what to do: " in detail
    assert response.json()["reason"] == reason and metrics.reasons == [reason]


def test_the_api_describes_it_and_without_a_model_nothing_is_read(client, photo):
    described = client.get("/openapi.json").json()
    assert {"200", "413", "415", "422", "503"} <= set(described["paths"]["/sheet"]["post"]["responses"])
    fields = described["components"]["schemas"]["SheetAnswer"]["properties"]
    assert set(fields) == {"boxes", "written", "read", "baseline_read", "model"}
    with TestClient(create_api(Service())) as empty:
        assert_problem(empty.post("/sheet", content=photo), 503)


@pytest.mark.parametrize("paper", ["a4", "letter"])
def test_the_sheet_can_be_fetched(client, paper):
    response = client.get(f"/sheet.pdf?paper={paper}")
    assert response.headers["content-type"] == "application/pdf" and response.content.startswith(b"%PDF")
    assert response.headers["content-disposition"] == 'inline; filename="sheet.pdf"'
    assert client.head("/sheet.pdf").status_code == 200
    assert_problem(client.get("/sheet.pdf?paper=a5"), 422)


def test_the_articles_network_is_compared_with_and_never_serves(tmp_path):
    baseline = Networks.load(str(SHIPPED_BASELINE))
    assert baseline.checkpoint.record["architecture_name"] == "baseline" and not baseline.has_own_reader
    assert baseline.checkpoint.record["data"]["protocol"] == "article"
    registry = Registry.read(Storage.open(tmp_path))
    assert registry.folder(registry.in_service()) == Storage.open(SHIPPED)
