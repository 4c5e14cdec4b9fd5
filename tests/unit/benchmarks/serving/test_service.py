"""What is compared of the servers: each figure sets the service beside the right other side, turn by turn."""

import pytest

from digits.benchmarks.serving.load import KINDS, Result, make_request
from digits.benchmarks.serving.service import AIMS, OF_PLAIN_SERVERS, SERVERS, Measured, compare

BARE, KERAS, ONNX = SERVERS.values()


def measured(kinds, per_second: float, p50_ms: float, p99_ms: float, start_s: float) -> Measured:
    requests = round(per_second * 10)
    result = Result(requests=requests, seconds=10, statuses={200: requests}, p50_ms=p50_ms, p95_ms=0, p99_ms=p99_ms)
    return Measured(results=dict.fromkeys(kinds, result), start_s=start_s, peak_bytes={"main": 1})


def test_the_service_is_compared_with_its_api_without_ray_and_with_both_plain_servers():
    turns = {
        "service": [measured(AIMS, 100, 1, 2, 3), measured(AIMS, 110, 1, 2, 3)],
        "bare": [measured(AIMS, 125, 1, 1, 1), measured(AIMS, 137.5, 1, 1, 1)],
        "keras": [measured(OF_PLAIN_SERVERS, 10, 4, 8, 6), measured(OF_PLAIN_SERVERS, 11, 4, 8, 6)],
        "onnx": [measured(OF_PLAIN_SERVERS, 400, 5, 4, 1), measured(OF_PLAIN_SERVERS, 440, 5, 4, 1)],
    }
    figures = compare(turns)
    ratios = {(figure.what.split(",")[0], figure.unit, figure.against): figure.ratios for figure in figures}
    assert ratios == {
        **{(kind, "requests/s", BARE): pytest.approx([0.8, 0.8], rel=0.01) for kind in AIMS},
        **{(kind, "ms", BARE): pytest.approx([2, 2]) for kind in AIMS},
        ("png", "requests/s", KERAS): pytest.approx([10, 10]),
        ("png", "ms", KERAS): pytest.approx([0.25, 0.25]),
        **{(kind, "requests/s", ONNX): pytest.approx([0.25, 0.25]) for kind in OF_PLAIN_SERVERS},
        ("png", "ms", ONNX): pytest.approx([0.5, 0.5]),
        ("12-megapixel JPEG", "ms", "FastAPI + uvicorn, Pillow full decode + resize"): pytest.approx([0.2, 0.2]),
        ("start-up to first answer", "s", KERAS): pytest.approx([0.5, 0.5]),
    }
    beside_itself = [figure for figure in figures if figure.against == BARE]
    assert {figure.what.split(",")[0] for figure in beside_itself if figure.met} == {"tensor-1"}


def test_every_kind_of_request_is_answered_by_the_api_with_what_it_shows(client):
    for kind in KINDS:
        path, body, headers = make_request(kind)
        answer = client.post(path, content=body, headers=headers)
        assert answer.status_code == 200, (kind, answer.text)
        if path == "/predict":
            assert answer.json()["digit"] == 0, kind
        if path == "/read":
            assert len(answer.json()["digits"]) > 10
