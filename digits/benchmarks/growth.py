"""How cost grows with streamed digits, with trials of a search, and with the service's replicas and clients."""

from collections.abc import Callable

from matplotlib.axes import Axes

from digits.benchmarks.measuring import Results, Scope, run_side
from digits.benchmarks.search import search_seconds
from digits.benchmarks.serving import load
from digits.benchmarks.serving.servers import ray_service
from digits.reporting.figures import COLOURS, new_figure, png, quiet

Growth = dict[str, list[dict[str, float]]]
"""What was measured: for each thing that grows, rows of figures."""
COPIES = (1, 2, 4, 8)
MILLIONS = (1, 10)
TRIALS = (1, 2, 4)
REPLICAS = (1, 2)
CLIENTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


def measure(scope: Scope, results: Results) -> None:
    """Digits x 1, 2, 4, 8 through Ray Data; 1 and 10 million in a driver; clients x 1 to 256 for 1 and 2 replicas."""
    growth = results.details.setdefault("growth", {})
    growth["digits"] = [digits(scope, copies) for copies in COPIES]
    growth["driver"] = [driver(millions) for millions in MILLIONS]
    growth["service"] = service(scope)


def measure_trials(scope: Scope, results: Results) -> None:
    """Seconds of a search by its number of trials."""
    growth = results.details.setdefault("growth", {})
    growth["trials"] = [{"trials": trials, "seconds": search_seconds(scope, trials)} for trials in TRIALS]


def digits(scope: Scope, copies: int) -> dict[str, float]:
    """Stream all digits and their inverted copies, each several times; seconds, and memory in MB."""
    finished = run_side("digits.benchmarks.sides.stream_digits", scope.data_folder(copies))
    return {
        "images": finished.document["digits"],
        "seconds": finished.document["seconds"],
        "process_mb": finished.peak_bytes["main"] / 1e6,
        "object_store_mb": finished.document["object_store_bytes"] / 1e6,
    }


def driver(millions: int) -> dict[str, float]:
    """So many million digits, as the driver of a training holds them; seconds, and memory in MB."""
    finished = run_side("digits.benchmarks.sides.hold_digits", millions)
    return {
        "images": finished.document["digits"],
        "seconds": finished.document["seconds"],
        "driver_mb": finished.peak_bytes["main"] / 1e6,
    }


def service(scope: Scope) -> list[dict[str, float]]:
    """Small PNGs: requests a second and latencies by replicas and clients."""
    rows = []
    for replicas in REPLICAS:
        with ray_service(scope, replicas) as server:
            for clients in CLIENTS:
                result = load.measure(server.url, "png", scope.seconds, clients)
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


def picture(growth: Growth) -> bytes:
    """All that was measured of growth, as one PNG."""
    panels = [draw for needs, draw in PANELS if needs in growth]
    figure = new_figure(4.6 * len(panels), 3.8)
    for axes, draw in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        quiet(axes)
        draw(axes, growth)
        axes.set_ylim(0, 1.06 * axes.dataLim.ymax)
        if axes.get_legend_handles_labels()[1]:
            axes.legend(frameon=False)
    return png(figure)


def draw_streaming(axes: Axes, growth: Growth) -> None:
    """Seconds by digits."""
    draw_digits(axes, growth, {"seconds": ""})
    axes.set_title("Streaming digits, s", loc="left")


def draw_memory(axes: Axes, growth: Growth) -> None:
    """Peak memory by digits."""
    draw_digits(axes, growth, {"process_mb": "process", "object_store_mb": "object store"})
    axes.set_title("Memory while streaming, MB", loc="left")


def draw_digits(axes: Axes, growth: Growth, lines: dict[str, str]) -> None:
    """A line by digits for each column, with its label."""
    millions = [row["images"] / 1e6 for row in growth["digits"]]
    for colour, (column, label) in zip(COLOURS, lines.items(), strict=False):
        axes.plot(millions, [row[column] for row in growth["digits"]], "o-", color=colour, label=label)
    axes.set_xlabel("million digits")


def draw_throughput(axes: Axes, growth: Growth) -> None:
    """Requests a second by clients."""
    draw_service(axes, growth, "per_second")
    axes.set_title("Small PNGs, requests/s", loc="left")


def draw_latency(axes: Axes, growth: Growth) -> None:
    """The 99th percentile of latency by clients."""
    draw_service(axes, growth, "p99_ms")
    axes.set_title("Small PNGs, p99, ms", loc="left")


def draw_service(axes: Axes, growth: Growth, column: str) -> None:
    """A line by clients for each number of replicas."""
    for colour, replicas in zip(COLOURS, REPLICAS, strict=False):
        rows = [row for row in growth["service"] if row["replicas"] == replicas]
        label = "1 replica" if replicas == 1 else f"{replicas} replicas"
        axes.plot([row["clients"] for row in rows], [row[column] for row in rows], "o-", color=colour, label=label)
    axes.set_xscale("log", base=2)
    axes.set_xlabel("clients")


def draw_trials(axes: Axes, growth: Growth) -> None:
    """Seconds of a search by its trials."""
    rows = growth["trials"]
    axes.plot([row["trials"] for row in rows], [row["seconds"] for row in rows], "o-", color=COLOURS[0])
    axes.set_title("Search and full training, s", loc="left")
    axes.set_xticks([row["trials"] for row in rows])
    axes.set_xlabel("trials")


PANELS: tuple[tuple[str, Callable[[Axes, Growth], None]], ...] = (
    ("digits", draw_streaming),
    ("digits", draw_memory),
    ("service", draw_throughput),
    ("service", draw_latency),
    ("trials", draw_trials),
)
"""What is drawn, from left to right, and what has to be measured for it."""
