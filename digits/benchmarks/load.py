"""A load of HTTP requests on a running service: throughput, latency and errors. Bounded, and loopback only."""

import asyncio
import io
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import numpy as np
from PIL import Image

from digits.images import encode_png, to_rgb

Kind = Literal["png", "photo", "tensor-1", "tensor-64"]
KINDS: tuple[Kind, ...] = ("png", "photo", "tensor-1", "tensor-64")
BARE_SERVER = """
import sys, uvicorn
from digits.service.api import create_api
from digits.service.service import Service
service = Service()
service.swap({"checkpoint": sys.argv[2]})
uvicorn.run(create_api(service), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
"""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What one measurement found."""

    requests: int
    """Answered or failed."""
    seconds: float
    statuses: dict[int, int]
    """How many answers had each HTTP status; 0 stands for a broken connection."""
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
    """Keeps a number of connections busy with one request until told to stop, and records every answer."""

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
        asyncio.run(self._run_all(start + seconds))
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

    async def _run_all(self, end: float) -> None:
        await asyncio.gather(*(self._run_one(end) for _ in range(self.connections)))

    async def _run_one(self, end: float) -> None:
        address = urlsplit(self.url)
        lines = {"host": address.netloc, "content-length": str(len(self.body)), **self.headers}
        head = f"POST {self.path} HTTP/1.1\r\n" + "".join(f"{key}: {value}\r\n" for key, value in lines.items())
        message = head.encode() + b"\r\n" + self.body
        connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        while time.perf_counter() < end and not self.stopped:
            start = time.perf_counter()
            status = 0
            for attempt in range(self.retries + 1):
                if attempt:
                    await asyncio.sleep(0.1 * attempt)
                try:
                    if connection is None:
                        connection = await asyncio.open_connection(address.hostname, address.port)
                    status, keep = await self._exchange(connection, message)
                except (OSError, asyncio.IncompleteReadError, TimeoutError):
                    status, keep = 0, False
                if not keep and connection is not None:
                    connection[1].close()
                    connection = None
                if status == 200:
                    break
            self.latencies.append(time.perf_counter() - start)
            self.statuses[status] = self.statuses.get(status, 0) + 1
        if connection is not None:
            connection[1].close()

    async def _exchange(
        self, connection: tuple[asyncio.StreamReader, asyncio.StreamWriter], message: bytes
    ) -> tuple[int, bool]:
        """Send one request; the status of its answer, and whether the connection stays open."""
        reader, writer = connection
        writer.write(message)
        async with asyncio.timeout(30):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            if "transfer-encoding: chunked" in head:
                body = b""
                while size := int(await reader.readline(), 16):
                    body += (await reader.readexactly(size + 2))[:-2]
                await reader.readexactly(2)
            else:
                body = await reader.readexactly(int(head.partition("content-length: ")[2].partition("\r\n")[0] or 0))
        if self.bodies is not None:
            self.bodies.append(body)
        return int(head.split(" ", 2)[1]), "connection: close" not in head


def make_request(kind: Kind) -> tuple[str, bytes, dict[str, str]]:
    """Path, body and headers of a request of `kind`; the pictures show a zero, 20 pixels long, as in MNIST."""
    row, column = np.mgrid[:28, :28] - 13.5
    radius = np.hypot(row / 10, column / 7)
    digit = np.where((radius < 1) & (radius > 0.7), 230, 0).astype(np.uint8)
    if kind == "png":
        return "/predict", encode_png(digit), {"content-type": "image/png"}
    if kind == "photo":
        paper = Image.fromarray(255 - digit).resize((1600, 1600), Image.Resampling.BICUBIC)
        photo = Image.new("RGB", (4000, 3000), (228, 226, 220))
        photo.paste(paper.point(lambda value: value * 220 // 255), (1200, 700))
        buffer = io.BytesIO()
        photo.save(buffer, "JPEG", quality=92)
        return "/predict", buffer.getvalue(), {"content-type": "image/jpeg"}
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


def measure(url: str, kind: Kind, seconds: float, connections: int) -> Result:
    """One measurement, after a short warm-up that is not counted."""
    path, body, headers = make_request(kind)
    Load(url=url, path=path, body=body, headers=headers, connections=connections).run(min(1.0, seconds / 3))
    return Load(url=url, path=path, body=body, headers=headers, connections=connections).run(seconds)


def start_bare_server(checkpoint: str, **environment: str) -> tuple[subprocess.Popen[bytes], str]:
    """The same API on a plain uvicorn, in a process of its own; returns it and its address, ready to answer."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-c", BARE_SERVER, str(port), checkpoint]
    # One thread for each numerical call, as Ray gives a replica of one CPU.
    process = subprocess.Popen(command, cwd=root, env={**os.environ, "OMP_NUM_THREADS": "1", **environment})
    for _ in range(600):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return process, f"http://127.0.0.1:{port}"
        if process.poll() is not None:
            break
        time.sleep(0.1)
    process.kill()
    raise SystemExit(f"the bare server with {checkpoint} did not start; its error stands above")
