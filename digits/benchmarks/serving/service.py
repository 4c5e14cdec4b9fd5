"""The running service against plain FastAPI on uvicorn, over HTTP on loopback, with the load of jobs/load_test.py.

The servers of a turn run one after the other, so that none takes cores from another; the load generator shares them.
"""

from dataclasses import dataclass

from digits.benchmarks.measuring import Figure, Results, Scope, alternate
from digits.benchmarks.serving import load
from digits.benchmarks.serving.servers import NETWORK, Server, plain_server, ray_service

CONNECTIONS = 16
PHOTO_CONNECTIONS = 2
"""Photos cost so much that more connections would only queue."""


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
    """Compare requests a second and latencies, start-up and memory."""
    turns: dict[str, list[Measured]] = alternate(
        {
            "service": lambda turn: with_service(scope),
            "keras": lambda turn: with_plain(scope, "keras"),
            "onnx": lambda turn: with_plain(scope, "onnx"),
        },
        scope.repeats,
    )
    against = {"keras": "FastAPI + uvicorn + model.predict", "onnx": "FastAPI + uvicorn + ONNX Runtime"}
    for other, aim in (("keras", 5.0), ("onnx", 1 / 3)):
        results.figures += [
            Figure(
                part="service",
                what=f"small PNG, {CONNECTIONS} connections, {NETWORK}",
                unit="requests/s",
                against=against[other],
                ours=[turn.png.per_second for turn in turns["service"]],
                theirs=[turn.png.per_second for turn in turns[other]],
                better="higher",
                aim=aim,
            ),
            Figure(
                part="service",
                what=f"small PNG, {CONNECTIONS} connections, p99",
                unit="ms",
                against=against[other],
                ours=[turn.png.p99_ms for turn in turns["service"]],
                theirs=[turn.png.p99_ms for turn in turns[other]],
                better="lower",
            ),
        ]
    results.figures += [
        Figure(
            part="service",
            what=f"12-megapixel JPEG, {PHOTO_CONNECTIONS} connections, p50",
            unit="ms",
            against="FastAPI + uvicorn, Pillow full decode + resize",
            ours=[turn.photo.p50_ms for turn in turns["service"]],
            theirs=[turn.photo.p50_ms for turn in turns["onnx"]],
            better="lower",
            aim=0.5,
            remark="ours finds paper and ink in the photo, theirs only shrinks it",
        ),
        Figure(
            part="service",
            what="start-up to first answer",
            unit="s",
            against=against["keras"],
            ours=[turn.start_s for turn in turns["service"]],
            theirs=[turn.start_s for turn in turns["keras"]],
            better="lower",
        ),
    ]
    results.details["failed requests"] = {
        name: sum(turn.png.failed + turn.photo.failed for turn in turns[name]) for name in turns
    }
    memory = results.details.setdefault("peak memory, MB", {})
    for name, measured in turns.items():
        titles = {title for turn in measured for title in turn.peak_bytes}
        memory[f"serving, {name}"] = {
            title: max(turn.peak_bytes.get(title, 0) for turn in measured) // 1_000_000 for title in sorted(titles)
        }
