"""What clients of every kind send: packed bodies, data URLs, HEAD, other origins, KServe's first protocol."""

import base64
import gzip
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from digits.errors import RequestError
from digits.service.api import create_api
from digits.service.limits import Limits
from digits.service.request_body import Unpacked
from digits.service.service import Service
from tests.unit.service.pictures import SEVEN, assert_problem

ORIGIN = "https://app.example.org"
URL = "data:image/png;base64," + base64.b64encode(SEVEN).decode()


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


PACKED = {"gzip": gzip.compress, "deflate": zlib.compress, "raw deflate": raw_deflate}


@pytest.fixture
def plain(client) -> dict:
    return client.post("/predict", content=SEVEN).json()


@pytest.mark.parametrize("way", PACKED)
def test_a_packed_picture_is_answered_as_the_plain_one(client, plain, way):
    headers = {"content-encoding": way.split()[-1], "content-type": "image/png"}
    assert client.post("/predict", content=PACKED[way](SEVEN), headers=headers).json() == plain


def test_a_packed_body_may_come_in_pieces(client, plain):
    packed = gzip.compress(SEVEN, mtime=0)
    pieces = (packed[at : at + 7] for at in range(0, len(packed), 7))
    assert client.post("/predict", content=pieces, headers={"content-encoding": "gzip"}).json() == plain


@pytest.mark.parametrize("way", ["gzip", "deflate"])
def test_a_bomb_is_refused_before_it_unfolds(service, metrics, way):
    with TestClient(create_api(service, limits=Limits(max_body_bytes=100_000))) as client:
        bomb = PACKED[way](bytes(50_000_000))
        assert len(bomb) < 100_000
        response = client.post("/predict", content=bomb, headers={"content-encoding": way})
    assert "100,000 bytes" in assert_problem(response, 413)
    assert metrics.reasons == ["too_large"]


@pytest.mark.parametrize(
    ("encoding", "content", "status"),
    [
        ("br", b"x", 415),
        ("gzip, gzip", b"x", 415),
        ("gzip", SEVEN, 400),
        ("gzip", gzip.compress(SEVEN, mtime=0)[:-20], 400),
        ("gzip", gzip.compress(SEVEN, mtime=0) + b"more", 400),
        ("gzip", b"", 400),
        ("deflate", SEVEN, 400),
    ],
    ids=["brotli", "twice", "not packed", "cut", "more behind it", "empty", "not packed either"],
)
def test_what_is_not_packed_as_announced_is_refused(client, metrics, encoding, content, status):
    response = client.post("/predict", content=content, headers={"content-encoding": encoding})
    assert "Content-Encoding" in assert_problem(response, status)
    assert metrics.reasons == ["encoding"]


@given(st.binary(max_size=300), st.sampled_from(sorted(PACKED)), st.integers(1, 60))
def test_unpacking_gives_what_was_packed_and_never_more_than_allowed(data, way, step):
    packed = PACKED[way](data)
    for most in (len(data), max(0, len(data) - 1)):
        unpacked, body = Unpacked(way.split()[-1], most), b""
        try:
            for at in range(0, len(packed), step):
                body += unpacked.feed(packed[at : at + step])
            unpacked.end()
        except RequestError as error:
            assert error.reason == "too_large" and most < len(data)
        else:
            assert body == data
        assert unpacked.size <= most + 1


@pytest.mark.parametrize(
    "request_of",
    [
        lambda: {"content": URL, "headers": {"content-type": "text/plain"}},
        lambda: {"content": f"  {URL}\n", "headers": {"content-type": "text/plain;charset=UTF-8"}},
        lambda: {"content": URL, "headers": {"content-type": "application/octet-stream"}},
        lambda: {"json": {"image": URL}},
        lambda: {"files": {"file": (None, URL)}},
        lambda: {"files": {"image": (None, URL)}},
        lambda: {"files": {"image": ("seven.png", SEVEN)}},
    ],
    ids=["text", "text with spaces", "raw", "json", "field file", "field image", "file named image"],
)
def test_a_canvas_data_url_is_read_wherever_it_stands(client, plain, request_of):
    assert client.post("/predict", **request_of()).json() == plain


@pytest.mark.parametrize(
    "request_of",
    [
        {"content": "seven", "headers": {"content-type": "text/plain"}},
        {"content": "data:image/png;base64", "headers": {"content-type": "text/plain"}},
        {"content": "data:image/png,abc", "headers": {"content-type": "text/plain"}},
        {"content": "data:text/html;base64,YWJj", "headers": {"content-type": "text/plain"}},
        {"content": "data:image/png;base64,a b c!", "headers": {"content-type": "text/plain"}},
        {"json": {"picture": URL}},
        {"json": {"image": 7}},
        {"json": [URL]},
        {"content": "{", "headers": {"content-type": "application/json"}},
        {"content": "[" * 100_000, "headers": {"content-type": "application/json"}},
        {"files": {"file": (None, "seven")}},
    ],
)
def test_what_is_no_data_url_is_refused(client, metrics, request_of):
    assert "toDataURL" in assert_problem(client.post("/predict", **request_of), 422)
    assert metrics.reasons == ["data_url"]


@pytest.mark.parametrize(
    ("headers", "length", "status"),
    [
        ({"content-type": "x" * 200}, 100, 415),
        ({"content-encoding": "x" * 200}, 50, 415),
        ({"content-type": "text/plain"}, 30, 422),
    ],
    ids=["type", "encoding", "text"],
)
def test_of_what_a_client_sent_only_the_beginning_is_repeated(client, headers, length, status):
    detail = assert_problem(client.post("/predict", content="x" * 200, headers=headers), status)
    assert "x" * length in detail and "x" * (length + 1) not in detail


def test_as_many_fields_as_files_may_be_sent_and_no_more(client):
    field = ("image", (None, URL))
    assert len(client.post("/predict", files=[field] * 16).json()["predictions"]) == 16
    assert_problem(client.post("/predict", files=[field] * 17), 400)


@pytest.mark.parametrize("path", ["/", "/docs", "/health", "/model", "/v2", "/v2/health/live", "/v2/health/ready"])
def test_head_is_answered_as_get_is(client, path):
    assert client.head(path).status_code == client.get(path).status_code == 200


def test_head_of_a_service_without_a_model_says_so():
    with TestClient(create_api(Service())) as client:
        assert client.head("/health").status_code == 503 and client.head("/v2/health/live").status_code == 200


PREFLIGHT = {
    "origin": ORIGIN,
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,content-type",
}


def test_other_origins_are_allowed_nothing_unless_they_are_named(client, service):
    assert client.options("/predict", headers=PREFLIGHT).status_code == 405
    answer = client.post("/predict", content=SEVEN, headers={"origin": ORIGIN})
    assert_problem(answer, 403)
    assert "access-control-allow-origin" not in answer.headers
    own = {"origin": str(client.base_url).rstrip("/")}
    assert client.post("/predict", content=SEVEN, headers=own).status_code == 200
    with TestClient(create_api(service, cors_origins=["https://other.example.org"])) as other:
        assert "access-control-allow-origin" not in other.options("/predict", headers=PREFLIGHT).headers


@pytest.mark.parametrize("allowed", [[ORIGIN], ["*"]])
def test_an_origin_that_is_named_is_allowed_and_asks_without_a_key(service, allowed):
    with TestClient(create_api(service, api_key="right", cors_origins=allowed)) as client:
        preflight = client.options("/read", headers=PREFLIGHT)
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] in (ORIGIN, "*")
        assert "authorization" in preflight.headers["access-control-allow-headers"].lower()
        assert_problem(client.post("/predict", content=SEVEN, headers={"origin": ORIGIN}), 401)
        headers = {"origin": ORIGIN, "authorization": "Bearer right"}
        answer = client.post("/predict", content=SEVEN, headers=headers)
        assert answer.status_code == 200 and answer.headers["access-control-allow-origin"] in (ORIGIN, "*")
        exposed = answer.headers["access-control-expose-headers"].lower().split(", ")
        assert exposed == ["inference-header-content-length", "retry-after"]


@pytest.mark.parametrize("shape", [(2, 28, 28), (2, 28, 28, 1), (2, 28, 28, 3)])
@pytest.mark.parametrize("fractions", [False, True], ids=["whole", "fractions"])
def test_kserves_first_protocol_is_answered(client, service, shape, fractions):
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    sent = (images / 255).tolist() if fractions else images.tolist()
    answer = client.post("/v1/models/digits:predict", json={"instances": sent}).json()
    grey = images[..., 0] if images.shape[3:] == (1,) else images
    np.testing.assert_allclose(answer["predictions"], service.model.networks.classifier.probabilities(grey), atol=1e-6)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"instances": []},
        {"instances": 7},
        {"instances": ["seven"]},
        {"instances": [[[0] * 28] * 27]},
        {"instances": [[[256] * 28] * 28]},
        {"instances": [[[1.5] * 28] * 28]},
        {"instances": [[[0] * 28] * 28] * 1025},
    ],
    ids=["none", "empty", "number", "text", "27 rows", "too bright", "too large", "too many"],
)
def test_what_is_no_instance_is_refused(client, body):
    assert_problem(client.post("/v1/models/digits:predict", json=body), 400)


def test_kserves_first_protocol_says_whether_the_model_is_ready(client):
    assert client.get("/v1/models/digits").json() == {"name": "digits", "ready": True}
    with TestClient(create_api(Service())) as other:
        assert other.get("/v1/models/digits").json() == {"name": "digits", "ready": False}
        assert other.post("/v2/repository/index").json()[0]["state"] == "UNAVAILABLE"
