"""The running service against its own API without Ray and plain FastAPI on uvicorn, over HTTP on loopback.

The load is that of jobs/load_test.py.

The servers of a turn run one after the other, so that none takes cores from another; the load generator shares them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from digits.benchmarks.measuring import Figure, Results, Scope, alternate
from digits.benchmarks.serving import load
from digits.benchmarks.serving.servers import CHECKPOINT, Server, bare_server, plain_server, ray_service
from digits.errors import BenchmarkError

CONNECTIONS = 16
FEW_CONNECTIONS = 2
"""For photos and pages, which cost so much that requests on more connections would only queue."""
SERVERS = {
    "bare": "its own API on uvicorn",
    "keras": "FastAPI + uvicorn + model.predict",
    "onnx": "FastAPI + uvicorn + ONNX Runtime",
}
"""What the service is measured against."""
AIMS: dict[load.Kind, float] = {"png": 0.9, "paper": 0.9, "canvas": 0.9, "photo": 0.9, "page": 0.9, "tensor-1": 0.65}
"""How many requests the service is to answer for each one of its API without Ray, by what is sent."""
SLOWEST_AIM = 1.5
"""How long its p99 may be for that of its API without Ray."""
OF_PLAIN_SERVERS: tuple[load.Kind, ...] = ("png", "paper", "canvas", "photo")
"""What servers can be sent that only shrink a picture."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One server in one turn."""

    results: Mapping[load.Kind, load.Result]
    """By what was sent."""
    start_s: float
    peak_bytes: dict[str, int]


def under_load(scope: Scope, server: Server, kinds: Sequence[load.Kind]) -> Measured:
    """Send one kind after another; BenchmarkError where nothing is answered with 200."""
    results = {kind: load.measure(server.url, kind, scope.seconds, connections_for(kind)) for kind in kinds}
    for kind, result in results.items():
        if not result.per_second:
            raise BenchmarkError(
                f"{server.url} answered no request of kind {kind}; requests by status: {result.statuses}",
                "answers with status 200",
                "give it longer with --seconds, or mend the server",
            )
    return Measured(results=results, start_s=server.start_s, peak_bytes=dict(server.peak_bytes))


def connections_for(kind: load.Kind) -> int:
    """How many requests of a kind are under way at a time."""
    return FEW_CONNECTIONS if kind in ("photo", "page") else CONNECTIONS


def with_service(scope: Scope) -> Measured:
    """This project's service with one replica."""
    with ray_service(scope) as server:
        return under_load(scope, server, [*AIMS])


def with_bare(scope: Scope) -> Measured:
    """Its API on uvicorn, without Ray."""
    with bare_server(CHECKPOINT) as server:
        return under_load(scope, server, [*AIMS])


def with_plain(scope: Scope, runtime: str) -> Measured:
    """FastAPI on uvicorn."""
    with plain_server(runtime) as server:
        return under_load(scope, server, OF_PLAIN_SERVERS)


def measure(scope: Scope, results: Results) -> None:
    """Compare requests per second, latencies and start-up; note failed requests and memory."""
    turns: dict[str, list[Measured]] = alternate(
        {
            "service": lambda turn: with_service(scope),
            "bare": lambda turn: with_bare(scope),
            "keras": lambda turn: with_plain(scope, "keras"),
            "onnx": lambda turn: with_plain(scope, "onnx"),
        },
        scope.repeats,
    )
    results.figures += compare(turns)
    results.details["failed requests"] = {
        name: sum(result.failed for turn in turns[name] for result in turn.results.values()) for name in turns
    }
    memory = results.details.setdefault("peak memory, MB", {})
    for name, measured in turns.items():
        titles = {title for turn in measured for title in turn.peak_bytes}
        memory[f"serving, {name}"] = {
            title: max(turn.peak_bytes.get(title, 0) for turn in measured) // 1_000_000 for title in sorted(titles)
        }


def compare(turns: Mapping[str, Sequence[Measured]]) -> list[Figure]:
    """The service beside the other servers, in what each turn measured of them."""

    def figure(other: str, what: str, unit: str, value: Callable[[Measured], float], **more: Any) -> Figure:
        ours, theirs = ([value(turn) for turn in turns[side]] for side in ("service", other))
        better = "higher" if unit == "requests/s" else "lower"
        shared = {"part": "service", "against": SERVERS[other], "better": better}
        return Figure(what=what, unit=unit, ours=ours, theirs=theirs, **{**shared, **more})

    def throughput(other: str, kind: load.Kind, aim: float | None) -> Figure:
        what = f"{kind}, {connections_for(kind)} connections"
        return figure(other, what, "requests/s", lambda turn: turn.results[kind].per_second, aim=aim)

    def slowest(other: str, kind: load.Kind, aim: float | None) -> Figure:
        what = f"{kind}, {connections_for(kind)} connections, p99"
        return figure(other, what, "ms", lambda turn: turn.results[kind].p99_ms, aim=aim)

    return [
        *(throughput("bare", kind, aim) for kind, aim in AIMS.items()),
        *(slowest("bare", kind, SLOWEST_AIM) for kind in AIMS),
        throughput("keras", "png", 5.0),
        slowest("keras", "png", None),
        *(throughput("onnx", kind, None) for kind in OF_PLAIN_SERVERS),
        slowest("onnx", "png", None),
        figure(
            "onnx",
            f"12-megapixel JPEG, {FEW_CONNECTIONS} connections, p50",
            "ms",
            lambda turn: turn.results["photo"].p50_ms,
            against="FastAPI + uvicorn, Pillow full decode + resize",
            aim=0.5,
            remark="ours finds paper and ink in the photo, theirs only shrinks it",
        ),
        figure("keras", "start-up to first answer", "s", lambda turn: turn.start_s),
    ]
