"""Training steps alone, without start-up and data: one worker against a raw loop, two workers against one.

There are only as many digits as steady rates need; the first epoch, which compiles, is not counted.
"""

import json
import os
import statistics
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from digits.benchmarks.measuring import NETWORKS, Figure, Results, Scope, alternate, free_port, run_side
from digits.cluster import ENVIRONMENT
from digits.machine import usable_cores

EPOCHS = 4


def rate(scope: Scope, side: str, network: str, threads: int, environment: dict[str, str] | None = None) -> float:
    """Median images per second of one process: `fit` with the settings of TensorFlow that jobs make, `raw` without."""
    settings = {name: os.environ.get(name, value) for name, value in ENVIRONMENT.items()} if side == "fit" else {}
    num_digits = min(scope.digits or 32_000, 32_000)
    arguments = (side, scope.data_folder(), network, num_digits, EPOCHS, threads)
    finished = run_side("digits.benchmarks.sides.steps", *arguments, environment={**settings, **(environment or {})})
    return statistics.median(finished.document["images_per_second"])


def rate_of_two(scope: Scope, network: str, threads: int) -> float:
    """Images per second of two workers together, each with half of the cores."""
    addresses = [f"127.0.0.1:{free_port()}" for _ in range(2)]

    def worker(index: int) -> float:
        config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        return rate(scope, "fit", network, threads, {"TF_CONFIG": json.dumps(config)})

    with ThreadPoolExecutor(max_workers=2) as pool:
        return statistics.fmean(pool.map(worker, range(2)))


def measure(scope: Scope, results: Results) -> None:
    """Compare images a second of both networks."""
    cores = usable_cores()
    for network in NETWORKS:

        def one_worker(side: str, turn: int, network: str = network) -> float:
            return rate(scope, side, network, cores)

        def two_workers(turn: int, network: str = network) -> float:
            return rate_of_two(scope, network, max(1, cores // 2))

        rates = alternate(
            {
                "fit": partial(one_worker, "fit"),
                "raw": partial(one_worker, "raw"),
                "two": two_workers,
            },
            scope.repeats,
        )
        common: dict[str, Any] = {"part": "steps", "unit": "images/s", "better": "higher"}
        results.figures += [
            Figure(
                **common,
                what=f"{network}, 1 worker, all cores",
                against="raw compiled TensorFlow loop",
                ours=rates["fit"],
                theirs=rates["raw"],
                aim=0.95,
            ),
            Figure(
                **common,
                what=f"{network}, 2 workers, half the cores each",
                against="1 worker, all cores",
                ours=rates["two"],
                theirs=rates["fit"],
                aim=0.75,
            ),
        ]
