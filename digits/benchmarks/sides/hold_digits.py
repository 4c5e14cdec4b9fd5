"""What a training's driver does with its data before Ray starts; argument: millions of digits.

The digits are blank images with synthetic labels, in shards that are one file under many names. Prints how many there
are, and seconds.
"""

import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from digits.commands.preparation import NUM_JUDGED
from digits.config import DataConfig
from digits.data.files import find_digits
from digits.data.read import read_without_ray
from digits.data.shards import ROWS_PER_SHARD, write_shards
from digits.data.split import Split, evenly


def main(millions: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        blank = np.zeros((ROWS_PER_SHARD, 28, 28), np.uint8)
        (shard,) = write_shards(blank, np.arange(ROWS_PER_SHARD) % 10, Path(folder), "train")
        for number in range(1, round(millions * 1e6 / ROWS_PER_SHARD)):
            os.link(shard, shard.with_name(f"train-{number:05}.parquet"))
        start = time.perf_counter()
        split = Split.make(find_digits(folder), DataConfig())
        judged = evenly(split.validates, NUM_JUDGED)
        read_without_ray(split.files, judged, inverted_copies=split.inverted_copies)
        print(json.dumps({"digits": split.files.num_digits, "seconds": time.perf_counter() - start}))


if __name__ == "__main__":
    main(float(sys.argv[1]))
