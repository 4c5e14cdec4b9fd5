"""How cost grows: streamed digits, trials of a search, replicas and clients of the service; one picture of each."""

from digits.plots import COLOURS, new_figure, png, quiet
from jobs import load_test
from jobs.benchmarks.measuring import Results, Scope, run_side
from jobs.benchmarks.search import search_seconds
from jobs.benchmarks.servers import ray_service

COPIES = (1, 2, 4, 8)
TRIALS = (1, 2, 4)
REPLICAS = (1, 2)
CLIENTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


def measure(scope: Scope, results: Results) -> None:
    """Digits x 1, 2, 4, 8 through Ray Data; clients x 1 to 256 for 1 and 2 replicas."""
    growth = results.details.setdefault("growth", {})
    growth["digits"] = [digits(scope, copies) for copies in COPIES]
    growth["service"] = service(scope)


def measure_trials(scope: Scope, results: Results) -> None:
    """Seconds of a search by its number of trials."""
    growth = results.details.setdefault("growth", {})
    growth["trials"] = [{"trials": trials, "seconds": search_seconds(scope, trials)} for trials in TRIALS]


def digits(scope: Scope, copies: int) -> dict[str, float]:
    """Stream all digits and their inverted copies, each several times; seconds, and memory in MB."""
    finished = run_side("jobs.benchmarks.sides.stream_digits", scope.data_folder(copies))
    return {
        "images": finished.document["digits"],
        "seconds": finished.document["seconds"],
        "process_mb": finished.peak_bytes["main"] / 1e6,
        "object_store_mb": finished.document["object_store_bytes"] / 1e6,
    }


def service(scope: Scope) -> list[dict[str, float]]:
    """Small PNGs: requests a second and latencies by replicas and clients."""
    rows = []
    for replicas in REPLICAS:
        with ray_service(scope, replicas) as server:
            for clients in CLIENTS:
                result = load_test.measure(server.url, "png", scope.seconds, clients)
                rows.append(
                    {
                        "replicas": replicas,
                        "clients": clients,
                        "per_second": result.per_second,
                        "p50_ms": result.p50_ms,
                        "p99_ms": result.p99_ms,
                        "failed": result.failed,
                    }
                )
    return rows


def picture(growth: dict[str, list[dict[str, float]]]) -> bytes:
    """All that was measured of growth, as one PNG."""
    panels = [panel for panel in ("digits", "memory", "throughput", "latency", "trials") if has(growth, panel)]
    figure = new_figure(4.6 * len(panels), 3.8)
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        quiet(axes)
        if panel in ("digits", "memory"):
            millions = [row["images"] / 1e6 for row in growth["digits"]]
            lines = (
                {"seconds": None} if panel == "digits" else {"process_mb": "process", "object_store_mb": "object store"}
            )
            for colour, (key, label) in zip(COLOURS, lines.items(), strict=False):
                axes.plot(millions, [row[key] for row in growth["digits"]], "o-", color=colour, label=label)
            axes.set_title("Streaming digits, s" if panel == "digits" else "Memory while streaming, MB", loc="left")
            axes.set_xlabel("million digits")
        elif panel == "trials":
            axes.plot([row["trials"] for row in growth["trials"]], [row["seconds"] for row in growth["trials"]], "o-")
            axes.set_title("Search, s", loc="left")
            axes.set_xlabel("trials")
        else:
            key = "per_second" if panel == "throughput" else "p99_ms"
            for colour, replicas in zip(COLOURS, REPLICAS, strict=False):
                rows = [row for row in growth["service"] if row["replicas"] == replicas]
                values = [row[key] for row in rows]
                axes.plot(
                    [row["clients"] for row in rows], values, "o-", color=colour, label=plural(replicas, "replica")
                )
            axes.set_xscale("log", base=2)
            axes.set_xlabel("clients")
            axes.set_title("Small PNGs, requests/s" if key == "per_second" else "Small PNGs, p99, ms", loc="left")
        axes.set_ylim(bottom=0)
        if axes.get_legend_handles_labels()[1]:
            axes.legend(frameon=False)
    return png(figure)


def plural(number: int, thing: str) -> str:
    """A number of things, in words."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def has(growth: dict[str, list[dict[str, float]]], panel: str) -> bool:
    """Whether a panel's values were measured."""
    return {"memory": "digits", "throughput": "service", "latency": "service"}.get(panel, panel) in growth
