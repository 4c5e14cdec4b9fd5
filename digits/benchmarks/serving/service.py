"""The running service against plain FastAPI on uvicorn, over HTTP on loopback, with the load of jobs/load_test.py.

The servers of a turn run one after the other, so that none takes cores from another; the load generator shares them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from digits.benchmarks.measuring import Figure, Results, Scope, alternate
from digits.benchmarks.serving import load
from digits.benchmarks.serving.servers import NETWORK, Server, plain_server, ray_service

CONNECTIONS = 16
PHOTO_CONNECTIONS = 2
"""Photos cost so much that requests on more connections would only queue."""
PLAIN_SERVERS = {"keras": "FastAPI + uvicorn + model.predict", "onnx": "FastAPI + uvicorn + ONNX Runtime"}
"""What the service is measured against, by the runtime that predicts."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One server in one turn."""

    png: load.Result
    photo: load.Result
    start_s: float
    peak_bytes: dict[str, int]


def under_load(scope: Scope, server: Server) -> Measured:
    """Send small PNGs, then 12-megapixel JPEGs."""
    png = load.measure(server.url, "png", scope.seconds, CONNECTIONS)
    photo = load.measure(server.url, "photo", scope.seconds, PHOTO_CONNECTIONS)
    return Measured(png=png, photo=photo, start_s=server.start_s, peak_bytes=dict(server.peak_bytes))


def with_service(scope: Scope) -> Measured:
    """This project's service with one replica."""
    with ray_service(scope) as server:
        return under_load(scope, server)


def with_plain(scope: Scope, runtime: str) -> Measured:
    """FastAPI on uvicorn."""
    with plain_server(scope, runtime) as server:
        return under_load(scope, server)


def measure(scope: Scope, results: Results) -> None:
    """Compare requests per second, latencies and start-up; note failed requests and memory."""
    turns: dict[str, list[Measured]] = alternate(
        {
            "service": lambda turn: with_service(scope),
            "keras": lambda turn: with_plain(scope, "keras"),
            "onnx": lambda turn: with_plain(scope, "onnx"),
        },
        scope.repeats,
    )
    results.figures += compare(turns)
    results.details["failed requests"] = {
        name: sum(turn.png.failed + turn.photo.failed for turn in turns[name]) for name in turns
    }
    memory = results.details.setdefault("peak memory, MB", {})
    for name, measured in turns.items():
        titles = {title for turn in measured for title in turn.peak_bytes}
        memory[f"serving, {name}"] = {
            title: max(turn.peak_bytes.get(title, 0) for turn in measured) // 1_000_000 for title in sorted(titles)
        }


def compare(turns: Mapping[str, Sequence[Measured]]) -> list[Figure]:
    """The service beside both plain servers, in what each turn measured of them."""

    def sides(other: str, value: Callable[[Measured], float]) -> dict[str, Any]:
        return {"ours": [value(turn) for turn in turns["service"]], "theirs": [value(turn) for turn in turns[other]]}

    figures = []
    for other, aim in (("keras", 5.0), ("onnx", 1 / 3)):
        figures += [
            Figure(
                part="service",
                what=f"small PNG, {CONNECTIONS} connections, {NETWORK}",
                unit="requests/s",
                against=PLAIN_SERVERS[other],
                **sides(other, lambda turn: turn.png.per_second),
                better="higher",
                aim=aim,
            ),
            Figure(
                part="service",
                what=f"small PNG, {CONNECTIONS} connections, p99",
                unit="ms",
                against=PLAIN_SERVERS[other],
                **sides(other, lambda turn: turn.png.p99_ms),
                better="lower",
            ),
        ]
    return [
        *figures,
        Figure(
            part="service",
            what=f"12-megapixel JPEG, {PHOTO_CONNECTIONS} connections, p50",
            unit="ms",
            against="FastAPI + uvicorn, Pillow full decode + resize",
            **sides("onnx", lambda turn: turn.photo.p50_ms),
            better="lower",
            aim=0.5,
            remark="ours finds paper and ink in the photo, theirs only shrinks it",
        ),
        Figure(
            part="service",
            what="start-up to first answer",
            unit="s",
            against=PLAIN_SERVERS["keras"],
            **sides("keras", lambda turn: turn.start_s),
            better="lower",
        ),
    ]
