#!/usr/bin/env python
"""Makes the Parquet shards in digits/mnist from MNIST's four IDX files. Run once, kept for the record.

    python jobs/make_shards.py FOLDER

FOLDER holds train-images-idx3-ubyte.gz and the three others, packed or unpacked. Their SHA-256 is checked.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from digits.data.files import SHIPPED
from digits.data.shards import ROWS_PER_SHARD, SHA256, read_idx, write_shards
from digits.errors import DataError

OUTPUT = SHIPPED


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder with MNIST's four IDX files, .gz or unpacked")
    folder = parser.parse_args().folder
    try:
        if not folder.is_dir():
            raise DataError(f"{folder} is no folder", f"a folder with {', '.join(SHA256)}", "name that folder")
        OUTPUT.mkdir(exist_ok=True)
        for prefix, name in (("train", "train"), ("test", "t10k")):
            images, labels = (
                read_idx(folder, f"{name}-images-idx3-ubyte"),
                read_idx(folder, f"{name}-labels-idx1-ubyte"),
            )
            for path in write_shards(images, labels, OUTPUT, prefix):
                print(f"{path.name}: {ROWS_PER_SHARD:,} digits, {path.stat().st_size / 1e6:.2f} MB")
    except DataError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
