"""What a stranger may send: requests made up from our own OpenAPI document, and hundreds of malformed uploads."""

import http.client
import io
import json
import socket
import struct
import time
import zlib
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import psutil
import pytest
import schemathesis
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from schemathesis.specs.openapi.checks import positive_data_acceptance

from digits.benchmarks.serving.servers import Server, bare_server
from digits.images import encode_png
from digits.service.api import create_api
from digits.service.service import Service

CONFIG = Path(__file__).parents[2] / "serve" / "config.yaml"

schemathesis.openapi.media_type("image/*", st.binary(max_size=200))
schemathesis.openapi.media_type("application/octet-stream", st.binary(max_size=200))
# Bytes that are no picture are valid for the document, and rightly refused.
LEFT_OUT = [positive_data_acceptance]
OPERATIONS = [
    "GET /health",
    "GET /model",
    "GET /v2",
    "GET /v2/health/live",
    "GET /v2/health/ready",
    "GET /v2/models/digits",
    "GET /v2/models/digits/ready",
    "POST /predict",
    "POST /read",
    "POST /sheet",
    "GET /v1/models/digits",
    "POST /v1/models/digits:predict",
    "GET /v2/models/digits/config",
    "GET /v2/models/digits/stats",
    "POST /v2/repository/index",
    "POST /v2/models/digits/infer",
]


@pytest.fixture(scope="module")
def document(storage_path):
    """Our OpenAPI document, over an in-process API."""
    service = Service()
    service.swap({"storage_path": str(storage_path)})
    return schemathesis.openapi.from_asgi("/openapi.json", create_api(service))


@pytest.mark.parametrize("operation", OPERATIONS)
def test_requests_made_up_from_our_openapi_document_are_answered_as_it_says(document, operation):
    method, path = operation.split()

    @given(case=document[path][method].as_strategy())
    @settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    def check(case):
        case.call_and_validate(excluded_checks=LEFT_OUT)

    check()


def test_the_openapi_document_names_every_operation(document):
    named = {f"{method.upper()} {path}" for path, methods in document.raw_schema["paths"].items() for method in methods}
    assert named == set(OPERATIONS)


def png_header(width: int, height: int, tail: bytes = b"") -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", tail) + chunk(b"IEND", b"")


def pictures(image: np.ndarray) -> list[bytes]:
    files = []
    for format in ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM"):
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, format)
        files.append(buffer.getvalue())
    return files


def animated_bomb() -> bytes:
    frames = [Image.new("L", (2000, 2000), shade) for shade in range(0, 200, 4)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def malformed_uploads(rng: np.random.Generator) -> list[bytes]:
    """500 bodies: pictures cut short, with bytes changed, spliced, or that lie about their size; and plain nonsense."""
    good = pictures(rng.integers(0, 256, (40, 30, 3), dtype=np.uint8))
    bodies = [
        b"",
        b"text",
        b"<svg/>",
        b"%PDF-1.7",
        b"GIF89a",
        b"\x89PNG\r\n\x1a\n",
        b"BM" + b"\0" * 60,
        animated_bomb(),
    ]
    bodies += [png_header(*size) for size in ((0, 0), (1, 2**31 - 1), (40_000, 40_000), (2**32 - 1, 2**32 - 1))]
    bodies += [png_header(7000, 7000, zlib.compress(bytes(7000 * 7000 * 3)[:100])), png_header(5, 5, b"\0" * 1000)]
    while len(bodies) < 500:
        body = bytearray(good[rng.integers(len(good))])
        kind = rng.integers(3)
        if kind == 0:
            body = body[: rng.integers(1, len(body))]
        elif kind == 1:
            for position in rng.integers(0, len(body), rng.integers(1, 20)):
                body[position] = rng.integers(256)
        else:
            other = good[rng.integers(len(good))]
            body = body[: rng.integers(len(body))] + other[rng.integers(len(other)) :]
        bodies.append(bytes(body))
    return bodies


def post(server: str, body: bytes, path: str = "/predict", **headers: str) -> tuple[int, dict]:
    connection = http.client.HTTPConnection(urlsplit(server).netloc, timeout=30)
    try:
        connection.request("POST", path, body, {key.replace("_", "-"): value for key, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def resident_megabytes(server: Server) -> float:
    return psutil.Process(server.pid).memory_info().rss / 2**20


@pytest.fixture
def server_process(storage_path):
    """A server in a process of its own, with the environment that config.yaml gives a replica."""
    (deployment,) = yaml.safe_load(CONFIG.read_text())["applications"][0]["deployments"]
    environment = deployment["ray_actor_options"]["runtime_env"]["env_vars"]
    with bare_server(str(storage_path / "first"), environment) as server:
        yield server


@pytest.mark.slow
def test_malformed_uploads_never_break_the_service_and_leave_no_memory_behind(server_process):
    url = server_process.url
    bodies = malformed_uploads(np.random.default_rng(0))
    large = encode_png(np.zeros((6000, 8000, 3), np.uint8))
    for body in (*bodies[:50], large):  # decoders load their tables once
        post(url, body)
        post(url, body, "/read")
    before = resident_megabytes(server_process)
    statuses: dict[int, int] = {}
    asked = [(body, "/predict") for body in (*bodies, large, large)] + [
        (body, "/read") for body in (*bodies[:150], large)
    ]
    for body, path in asked:
        status, answer = post(url, body, path)
        statuses[status] = statuses.get(status, 0) + 1
        assert status == 200 or set(answer) == {"detail", "reason"}
    assert set(statuses) <= {200, 413, 415, 422}
    assert sum(count for status, count in statuses.items() if status >= 400) > 250
    assert resident_megabytes(server_process) - before < 30


def test_malformed_forms_and_tensors_never_break_the_service(plain_server):
    rng = np.random.default_rng(1)
    form = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + b"y" * 50 + b"\r\n--x--\r\n"
    tensor = json.dumps({"inputs": [{"name": "images", "datatype": "UINT8", "shape": [1, 28, 28, 3]}]}).encode()
    for body, path, kind in (
        (form, "/predict", "multipart/form-data; boundary=x"),
        (tensor, "/v2/models/digits/infer", ""),
    ):
        for _ in range(150):
            broken = bytearray(body)
            for position in rng.integers(0, len(body), rng.integers(1, 6)):
                broken[position] = rng.integers(256)
            status, answer = post(plain_server, bytes(broken), path, content_type=kind)
            assert status < 500 and ("detail" in answer or "predictions" in answer)


def test_a_body_that_never_ends_is_cut_off(plain_server):
    address = urlsplit(plain_server)
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        connection.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        chunk, sent, start = b"100000\r\n" + b"x" * 0x100000 + b"\r\n", 0, time.monotonic()
        try:
            while time.monotonic() - start < 30 and sent < 100:
                connection.sendall(chunk)
                sent += 1
        except OSError:
            pass  # the server answered and hung up
    assert sent < 100
