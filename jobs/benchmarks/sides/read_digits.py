"""Reading, inverting and splitting all digits: digits.data on Ray Data against NumPy in this process, in turns.

Arguments: folder of digits, turns. Ray is up before the first turn. Prints the seconds of each turn, those until the
first batch, and those of the very first one, for which Ray still has to start its tasks.
"""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from digits import data
from digits.config import DataConfig
from jobs import cluster
from jobs.benchmarks.parquet import read_parquet


def with_ray(folder: str) -> tuple[float, float]:
    """Seconds until the first batch of training digits, and until both sides lie in memory.

    Both sides are read at the same time, as a training worker reads them.
    """
    start = time.perf_counter()
    files = data.find_digits(folder)
    validates = data.split_rows(files, DataConfig())
    training, held_out = (data.with_inverted_copies(data.read_digits(files, side)) for side in (~validates, validates))
    with ThreadPoolExecutor(max_workers=1) as pool:
        validation = pool.submit(data.to_memory, held_out)
        batches = data.iterate(training)
        first = next(batches)
        first_batch = time.perf_counter() - start
        trained = data.concatenate([first, *batches])
        read = len(trained[1]) + len(validation.result()[1])
    seconds = time.perf_counter() - start
    assert read == 2 * files.num_digits
    return first_batch, seconds


def with_numpy(folder: str) -> float:
    """Seconds until both sides lie in memory."""
    start = time.perf_counter()
    images, labels = read_parquet(Path(folder))
    validates, trains = np.split(np.random.default_rng(0).permutation(len(labels)), [len(labels) // 5])
    sides = [
        (np.concatenate([images[rows], 255 - images[rows]]), np.tile(labels[rows], 2)) for rows in (trains, validates)
    ]
    seconds = time.perf_counter() - start
    assert sum(len(side[1]) for side in sides) == 2 * len(labels)
    return seconds


def main(folder: str, turns: int) -> None:
    cluster.connect()
    first_ever, _ = with_ray(folder)
    with_numpy(folder)
    ours, theirs = [], []
    for _ in range(turns):
        ours.append(with_ray(folder))
        theirs.append(with_numpy(folder))
    print(
        json.dumps(
            {
                "ours": [seconds for _, seconds in ours],
                "theirs": theirs,
                "first_batch": [seconds for seconds, _ in ours],
                "first_batch_ever": first_ever,
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
