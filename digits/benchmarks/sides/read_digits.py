"""Reading, inverting and splitting all digits: digits.data on Ray Data against NumPy in this process, in turns.

Arguments: folder of digits, turns. Ray is up before the first turn. Prints the seconds of each turn, those until the
first batch, and those of the very first one, for which Ray still has to start its tasks.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np

from digits import cluster
from digits.benchmarks.parquet import read_parquet
from digits.config import DataConfig
from digits.data.files import find_digits
from digits.data.read import iterate, read_digits, read_sides, with_inverted_copies
from digits.data.split import split_rows


def with_ray(folder: str) -> float:
    """Seconds until training and validation digits are in memory, by Ray Data."""
    start = time.perf_counter()
    files = find_digits(folder)
    validates = split_rows(files, DataConfig())
    sides = read_sides(files, ~validates, validates, inverted_copies=True)
    seconds = time.perf_counter() - start
    assert sum(len(labels) for _, labels in sides) == 2 * files.num_digits
    return seconds


def first_batch(folder: str) -> float:
    """Seconds until the first batch of training digits."""
    start = time.perf_counter()
    files = find_digits(folder)
    validates = split_rows(files, DataConfig())
    next(iterate(with_inverted_copies(read_digits(files, ~validates))))
    return time.perf_counter() - start


def with_numpy(folder: str) -> float:
    """Seconds until training and validation digits are in memory, by NumPy."""
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
    first_ever = first_batch(folder)
    with_ray(folder)
    with_numpy(folder)
    ours, theirs, first_batches = [], [], []
    for _ in range(turns):
        ours.append(with_ray(folder))
        theirs.append(with_numpy(folder))
        first_batches.append(first_batch(folder))
    print(
        json.dumps(
            {"ours": ours, "theirs": theirs, "first_batch": first_batches, "first_batch_ever": first_ever},
        )
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
