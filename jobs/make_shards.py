#!/usr/bin/env python
"""Makes the Parquet shards in digits/mnist from MNIST's four IDX files. Run once, kept for the record.

    python jobs/make_shards.py FOLDER

FOLDER holds train-images-idx3-ubyte.gz and the three others, packed or unpacked. Their SHA-256 is checked.
"""

import argparse
import gzip
import hashlib
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from digits.errors import DataError

SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
ROWS_PER_SHARD = 5_000
OUTPUT = Path(__file__).resolve().parents[1] / "digits" / "mnist"


def read_idx(folder: Path, name: str) -> np.ndarray:
    """One IDX file as uint8 (N, 28, 28) images or uint8 (N,) labels, its SHA-256 checked."""
    packed = folder / f"{name}.gz"
    data = gzip.decompress(packed.read_bytes()) if packed.exists() else (folder / name).read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if digest != SHA256[name]:
        raise DataError(
            f"{name} in {folder} has SHA-256 {digest}", SHA256[name], "fetch the original MNIST files again"
        )
    num_axes = data[3]
    shape = np.frombuffer(data, ">u4", count=num_axes, offset=4).astype(int)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * num_axes).reshape(shape)


def write_shards(images: np.ndarray, labels: np.ndarray, part: str) -> None:
    """Write uint8 (N, 28, 28) images and uint8 (N,) labels as Parquet shards of 5,000 rows."""
    num_shards = len(images) // ROWS_PER_SHARD
    for index in range(num_shards):
        rows = slice(index * ROWS_PER_SHARD, (index + 1) * ROWS_PER_SHARD)
        table = pa.table(
            {
                "image": pa.FixedShapeTensorArray.from_numpy_ndarray(np.ascontiguousarray(images[rows])),
                "label": pa.array(labels[rows].astype(np.int64)),
            }
        )
        path = OUTPUT / f"{part}-{index:02d}-of-{num_shards:02d}.parquet"
        pq.write_table(table, path, compression="zstd", compression_level=19)
        print(f"{path.name}: {table.num_rows:,} digits, {path.stat().st_size / 1e6:.2f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder with MNIST's four IDX files, .gz or unpacked")
    folder = parser.parse_args().folder
    try:
        if not folder.is_dir():
            raise DataError(f"{folder} is no folder", f"a folder with {', '.join(SHA256)}", "name that folder")
        OUTPUT.mkdir(exist_ok=True)
        write_shards(read_idx(folder, "train-images-idx3-ubyte"), read_idx(folder, "train-labels-idx1-ubyte"), "train")
        write_shards(read_idx(folder, "t10k-images-idx3-ubyte"), read_idx(folder, "t10k-labels-idx1-ubyte"), "test")
    except DataError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
