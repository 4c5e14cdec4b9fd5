"""A picture of the model of scale: seconds of an epoch by number of workers, beside what was measured."""

from collections.abc import Mapping

from digits.benchmarks.scaling.model import NUM_WORKERS, Link, Workload, epoch_s, stops_paying
from digits.reporting.figures import COLOURS, INK, new_figure, png, quiet


def epoch_time(
    workloads: Mapping[str, Workload],
    global_batch_sizes: Mapping[str, int],
    link: Link,
    *,
    measured: Mapping[str, Mapping[int, float]],
    title: str,
) -> bytes:
    """Seconds of an epoch by number of workers, both logarithmic.

    Lines: the model for each network with its recipe's global batch (whole) and one that grows with the workers
    (dashed). A ring marks where more workers stop paying, dots are measured: network -> workers -> seconds.
    """
    figure = new_figure(8, 4.6)
    axes = figure.subplots()
    for colour, (name, workload) in zip(COLOURS, workloads.items(), strict=False):
        batch = global_batch_sizes[name]
        seconds = [epoch_s(workload, n, batch, link) for n in NUM_WORKERS]
        growing = [epoch_s(workload, n, batch * n, link) for n in NUM_WORKERS]
        axes.plot(NUM_WORKERS, seconds, color=colour, label=f"{name}, global batch {batch}")
        axes.plot(NUM_WORKERS, growing, color=colour, linestyle="--", label=f"{name}, {batch} digits a worker")
        last = stops_paying(workload, batch, link)
        axes.plot(
            [last], [epoch_s(workload, last, batch, link)], "o", color=colour, markerfacecolor="none", markersize=11
        )
        points = measured.get(name, {})
        axes.plot(list(points), list(points.values()), "o", color=colour, markeredgecolor=INK)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(NUM_WORKERS, [str(n) for n in NUM_WORKERS])
    axes.set_xlabel("workers (ring: the last of which each still does half of what one alone does; dots: measured)")
    axes.set_ylabel("seconds of an epoch")
    axes.set_title(title, fontsize=12, loc="left")
    quiet(axes)
    axes.legend(frameon=False, fontsize=8)
    return png(figure)
