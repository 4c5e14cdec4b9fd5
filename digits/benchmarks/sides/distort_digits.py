"""What distortion costs: core-seconds of one process for each digit; arguments: folder of digits, how many."""

import json
import sys
import time
from pathlib import Path

import numpy as np

from digits.augmentation.distort import distort
from digits.benchmarks.parquet import read_parquet


def main(folder: str, num_digits: int) -> None:
    images, labels = read_parquet(Path(folder))
    images, labels = images[:num_digits], labels[:num_digits]
    distort(images[:100], labels[:100], np.random.default_rng(0))
    start = time.process_time()
    distort(images, labels, np.random.default_rng(1))
    print(json.dumps({"core_seconds": (time.process_time() - start) / len(labels)}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
