"""Sends many HTTP requests to a running service and measures throughput, latency and errors; for loopback only."""

import io
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import gevent
import numpy as np
from geventhttpclient import HTTPClient
from geventhttpclient.response import HTTPParseError
from PIL import Image

from digits.data.files import find_digits
from digits.data.read import read_without_ray
from digits.evaluation.pages.simulated import PLAIN, simulated_page
from digits.images import encode_png, to_rgb

Kind = Literal["png", "paper", "canvas", "photo", "page", "tensor-1", "tensor-64"]
CANVAS_SIDE = 280
"""Side of the page's canvas, in pixels."""
DIGITS_TO_WRITE = 1000
"""Digits of the shipped MNIST that the page is written with."""
SEED = 0
PATIENCE_S = 30.0
"""How long an answer may take."""
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, kw_only=True)
class Result:
    """What one measurement found."""

    requests: int
    """Answered or failed."""
    seconds: float
    statuses: dict[int, int]
    """How many answers had each HTTP status; 0 stands for requests without a whole answer."""
    p50_ms: float
    p95_ms: float
    p99_ms: float

    @property
    def failed(self) -> int:
        """Requests that were not answered with 200."""
        return self.requests - self.statuses.get(200, 0)

    @property
    def per_second(self) -> float:
        """Requests answered with 200, per second."""
        return (self.requests - self.failed) / self.seconds


@dataclass(kw_only=True)
class Load:
    """Keeps a number of connections busy with the same request until told to stop, and records every answer."""

    url: str
    path: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    connections: int = 16
    retries: int = 0
    """How often a request that fails is sent again before it counts as failed."""
    bodies: list[bytes] | None = None
    """Where to keep the answers' bodies; None drops them."""
    stopped: bool = False
    statuses: dict[int, int] = field(default_factory=dict)
    latencies: list[float] = field(default_factory=list)

    def run(self, seconds: float) -> Result:
        """Send for `seconds`, or until another thread sets `stopped`."""
        start = time.perf_counter()
        client = HTTPClient.from_url(
            self.url, concurrency=self.connections, connection_timeout=PATIENCE_S, network_timeout=PATIENCE_S
        )
        try:
            senders = [gevent.spawn(self._send_until, client, start + seconds) for _ in range(self.connections)]
            gevent.joinall(senders, raise_error=True)
        finally:
            client.close()
            gevent.get_hub().destroy()  # each thread has its own
        elapsed = time.perf_counter() - start
        p50, p95, p99 = 1000 * np.percentile(self.latencies or [0.0], [50, 95, 99])
        return Result(
            requests=sum(self.statuses.values()),
            seconds=elapsed,
            statuses=dict(sorted(self.statuses.items())),
            p50_ms=float(p50),
            p95_ms=float(p95),
            p99_ms=float(p99),
        )

    def _send_until(self, client: HTTPClient, end: float) -> None:
        while time.perf_counter() < end and not self.stopped:
            start = time.perf_counter()
            status = self._send(client)
            for attempt in range(1, self.retries + 1):
                if status == 200:
                    break
                gevent.sleep(0.1 * attempt)
                status = self._send(client)
            self.latencies.append(time.perf_counter() - start)
            self.statuses[status] = self.statuses.get(status, 0) + 1

    def _send(self, client: HTTPClient) -> int:
        """Send one request; the status of its answer, or 0 where there is no whole answer."""
        try:
            answer = client.request("POST", self.path, body=self.body, headers=self.headers)
            body = answer.read()
        except (OSError, HTTPParseError):
            return 0
        if self.bodies is not None:
            self.bodies.append(body)
        return answer.status_code


def make_request(kind: Kind) -> tuple[str, bytes, dict[str, str]]:
    """Path, body and headers of a request of `kind`; all but the page show a zero, 20 pixels long, as in MNIST."""
    row, column = np.mgrid[:28, :28] - 13.5
    radius = np.hypot(row / 10, column / 7)
    digit = np.where((radius < 1) & (radius > 0.7), 230, 0).astype(np.uint8)
    if kind == "png":
        return "/predict", encode_png(digit), {"content-type": "image/png"}
    if kind == "paper":
        return "/predict", encode_png(228 - digit // 2), {"content-type": "image/png"}
    if kind == "canvas":
        drawn = Image.fromarray(255 - digit).resize((CANVAS_SIDE, CANVAS_SIDE), Image.Resampling.BICUBIC)
        return "/predict", encode_png(to_rgb(np.array(drawn))), {"content-type": "image/png"}
    if kind == "page":
        return "/read", page_of_digits(), {"content-type": "image/jpeg"}
    if kind == "photo":
        paper = Image.fromarray(255 - digit).resize((1600, 1600), Image.Resampling.BICUBIC)
        photo = Image.new("RGB", (4000, 3000), (228, 226, 220))
        photo.paste(paper.point(lambda value: value * 220 // 255), (1200, 700))
        return "/predict", encode_jpeg(photo), {"content-type": "image/jpeg"}
    images = np.repeat(to_rgb(digit)[None], int(kind.removeprefix("tensor-")), axis=0)
    tensor = {
        "name": "images",
        "datatype": "UINT8",
        "shape": images.shape,
        "parameters": {"binary_data_size": images.size},
    }
    header = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    headers = {"content-type": "application/octet-stream", "inference-header-content-length": str(len(header))}
    return "/v2/models/digits/infer", header + images.tobytes(), headers


def encode_jpeg(picture: Image.Image) -> bytes:
    """A picture as a phone saves it."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def page_of_digits() -> bytes:
    """A simulated page of MNIST's digits, as a JPEG file; the same one every time."""
    digits = read_without_ray(
        files := find_digits(), np.arange(files.num_digits) < DIGITS_TO_WRITE, inverted_copies=False
    )
    return encode_jpeg(Image.fromarray(simulated_page(*digits, np.random.default_rng(SEED), PLAIN).picture))


def measure(url: str, kind: Kind, seconds: float, connections: int) -> Result:
    """One measurement, after a short warm-up that is not counted."""
    path, body, headers = make_request(kind)
    Load(url=url, path=path, body=body, headers=headers, connections=connections).run(min(1.0, seconds / 3))
    return Load(url=url, path=path, body=body, headers=headers, connections=connections).run(seconds)
