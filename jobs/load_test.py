#!/usr/bin/env python
"""Measure a running service on this machine: throughput, latency and errors for pictures and tensors.

Bounded in time and connections, and loopback only. With --checkpoint the same API on a bare uvicorn is measured too, in
turns with the service, so that what Ray Serve costs is known from one run. Last line of stdout: one JSON document.
"""

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

import tyro

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from digits.benchmarks.load import KINDS, Kind, measure, start_bare_server
from digits.errors import require


@dataclass(frozen=True, kw_only=True)
class LoadTest:
    """Measure a running service on loopback."""

    url: str = "http://127.0.0.1:8000"
    """The service's address; its host must be this machine's loopback."""
    seconds: float = 5.0
    """Time of each measurement, in seconds, at most 60."""
    connections: int = 16
    """Requests under way at a time, at most 256."""
    kinds: tuple[Kind, ...] = KINDS
    """What is sent: 28x28 PNGs as in MNIST, 12-megapixel JPEG photos, tensors of 1 and of 64 images."""
    checkpoint: str | None = None
    """Checkpoint for the bare uvicorn beside it; give the one in service. None measures the service only."""

    def __post_init__(self) -> None:
        require(
            urlsplit(self.url).scheme == "http" and urlsplit(self.url).hostname in ("127.0.0.1", "localhost"),
            f"url = {self.url}",
            "an http address of this machine's loopback",
            "use for instance http://127.0.0.1:8000",
        )
        require(0 < self.seconds <= 60, f"seconds = {self.seconds}", "more than 0, at most 60", "use 5")
        require(1 <= self.connections <= 256, f"connections = {self.connections}", "1 to 256", "use 16")


def main(config: LoadTest) -> None:
    """Measure, print a table, and end with one JSON line."""
    servers = {"service": config.url}
    bare = None
    if config.checkpoint is not None:
        bare, servers["bare"] = start_bare_server(config.checkpoint)
    rows = []
    print(f"{'sent':10} {'server':8} {'requests/s':>10} {'p50 ms':>8} {'p95 ms':>8} {'p99 ms':>8} {'failed':>7}")
    try:
        for kind in config.kinds:
            for server, url in servers.items():
                result = measure(url, kind, config.seconds, config.connections)
                times = f"{result.p50_ms:8.2f} {result.p95_ms:8.2f} {result.p99_ms:8.2f}"
                print(f"{kind:10} {server:8} {result.per_second:10.0f} {times} {result.failed:7}", flush=True)
                rows.append(
                    {"kind": kind, "server": server, "per_second": round(result.per_second, 1), **asdict(result)}
                )
    finally:
        if bare is not None:
            bare.terminate()
            bare.wait(10)
    print(json.dumps({"connections": config.connections, "results": rows}))


if __name__ == "__main__":
    main(tyro.cli(LoadTest, description=__doc__))
