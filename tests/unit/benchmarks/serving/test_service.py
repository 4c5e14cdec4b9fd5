"""What is compared of the servers: each figure sets the service beside the right other side, turn by turn."""

import pytest

from digits.benchmarks.serving.load import Result
from digits.benchmarks.serving.service import Measured, compare


def measured(per_second: float, p50_ms: float, p99_ms: float, start_s: float) -> Measured:
    requests = round(per_second * 10)
    result = Result(requests=requests, seconds=10, statuses={200: requests}, p50_ms=p50_ms, p95_ms=0, p99_ms=p99_ms)
    return Measured(png=result, photo=result, start_s=start_s, peak_bytes={"main": 1})


def test_the_service_is_compared_with_both_plain_servers():
    turns = {
        "service": [measured(100, 1, 2, 3), measured(110, 1, 2, 3)],
        "keras": [measured(10, 4, 8, 6), measured(11, 4, 8, 6)],
        "onnx": [measured(400, 5, 4, 1), measured(440, 5, 4, 1)],
    }
    ratios = {(figure.what.split(",")[0], figure.unit, figure.against): figure.ratios for figure in compare(turns)}
    assert ratios == {
        ("small PNG", "requests/s", "FastAPI + uvicorn + model.predict"): pytest.approx([10, 10]),
        ("small PNG", "ms", "FastAPI + uvicorn + model.predict"): pytest.approx([0.25, 0.25]),
        ("small PNG", "requests/s", "FastAPI + uvicorn + ONNX Runtime"): pytest.approx([0.25, 0.25]),
        ("small PNG", "ms", "FastAPI + uvicorn + ONNX Runtime"): pytest.approx([0.5, 0.5]),
        ("12-megapixel JPEG", "ms", "FastAPI + uvicorn, Pillow full decode + resize"): pytest.approx([0.2, 0.2]),
        ("start-up to first answer", "s", "FastAPI + uvicorn + model.predict"): pytest.approx([0.5, 0.5]),
    }
