"""What jobs/load_test.py does: sends each kind of request to a running service, and to its API without Ray."""

import contextlib
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

from digits.benchmarks.serving.load import KINDS, Kind, measure
from digits.benchmarks.serving.servers import bare_server
from digits.errors import require
from digits.models import checkpoints


@dataclass(frozen=True, kw_only=True)
class LoadTestSettings:
    """Measures a running service on this machine: throughput, latency and errors for pictures and tensors.

    Bounded in time and connections, and loopback only. With --checkpoint the same API on a bare uvicorn is measured
    too, in turns with the service, so that what Ray Serve costs is known from one run. Last line of stdout: one JSON
    document.
    """

    url: str = "http://127.0.0.1:8000"
    """The service's address; its host must be this machine's loopback."""
    seconds: float = 5.0
    """Time of each measurement, in seconds, at most 60."""
    connections: int = 16
    """Requests under way at a time, at most 256."""
    kinds: tuple[Kind, ...] = KINDS
    """What is sent: 28x28 PNGs as in MNIST or on paper, the canvas of the web page, photos, pages of digits, tensors
    of 1 and of 64 images."""
    checkpoint: str | None = None
    """Checkpoint for the bare uvicorn beside it; give the one in service. None measures the service only."""

    def check(self) -> None:
        """Raise ConfigurationError for what cannot be measured."""
        require(
            urlsplit(self.url).scheme == "http" and urlsplit(self.url).hostname in ("127.0.0.1", "localhost"),
            f"url = {self.url}",
            "an http address of this machine's loopback",
            "use for instance http://127.0.0.1:8000",
        )
        require(0 < self.seconds <= 60, f"seconds = {self.seconds}", "more than 0, at most 60", "use 5")
        require(1 <= self.connections <= 256, f"connections = {self.connections}", "1 to 256", "use 16")


def load_test(settings: LoadTestSettings) -> dict[str, Any]:
    """Measure, and print a line for each measurement; returns the job's JSON document."""
    settings.check()
    print(f"{'sent':10} {'server':8} {'requests/s':>10} {'p50 ms':>8} {'p95 ms':>8} {'p99 ms':>8} {'failed':>7}")
    with contextlib.ExitStack() as stack:
        servers = {"service": settings.url}
        if settings.checkpoint is not None:
            checkpoint = checkpoints.load(settings.checkpoint).path
            servers["bare"] = stack.enter_context(bare_server(checkpoint)).url
        rows = [
            {"kind": kind, "server": server, **measure_and_show(url, kind, server, settings)}
            for kind in settings.kinds
            for server, url in servers.items()
        ]
    return {"connections": settings.connections, "results": rows}


def measure_and_show(url: str, kind: Kind, server: str, settings: LoadTestSettings) -> dict[str, Any]:
    """One measurement, printed when it is done."""
    result = measure(url, kind, settings.seconds, settings.connections)
    times = f"{result.p50_ms:8.2f} {result.p95_ms:8.2f} {result.p99_ms:8.2f}"
    print(f"{kind:10} {server:8} {result.per_second:10.0f} {times} {result.failed:7}", flush=True)
    return {"per_second": round(result.per_second, 1), **asdict(result)}
