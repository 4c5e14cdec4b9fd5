"""The Parquet shards in digits/mnist, made from MNIST's four original files by jobs/make_shards.py."""

import gzip
import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from digits.errors import DataError

SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
"""MNIST's four files in the IDX format, unpacked."""
ROWS_PER_SHARD = 5_000


def read_idx(folder: Path, name: str) -> np.ndarray:
    """One IDX file, packed or not, as uint8 (N, 28, 28) images or uint8 (N,) labels; DataError for another SHA-256."""
    packed, unpacked = folder / f"{name}.gz", folder / name
    if not packed.exists() and not unpacked.exists():
        raise DataError(
            f"{folder} has neither {packed.name} nor {name}", f"all of {', '.join(SHA256)}", "add that file"
        )
    data = gzip.decompress(packed.read_bytes()) if packed.exists() else unpacked.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if digest != SHA256[name]:
        raise DataError(
            f"{name} in {folder} has SHA-256 {digest}", SHA256[name], "fetch the original MNIST files again"
        )
    num_axes = data[3]
    shape = np.frombuffer(data, ">u4", count=num_axes, offset=4).astype(int)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * num_axes).reshape(shape)


def write_shards(images: np.ndarray, labels: np.ndarray, folder: Path, prefix: str) -> list[Path]:
    """Write uint8 (N, 28, 28) images and uint8 (N,) labels as Parquet files of 5,000 rows each; returns their paths."""
    num_shards = len(images) // ROWS_PER_SHARD
    paths = [folder / f"{prefix}-{index:02d}-of-{num_shards:02d}.parquet" for index in range(num_shards)]
    for index, path in enumerate(paths):
        rows = slice(index * ROWS_PER_SHARD, (index + 1) * ROWS_PER_SHARD)
        table = pa.table(
            {
                "image": pa.FixedShapeTensorArray.from_numpy_ndarray(np.ascontiguousarray(images[rows])),
                "label": pa.array(labels[rows].astype(np.int64)),
            }
        )
        pq.write_table(table, path, compression="zstd", compression_level=19)
    return paths
