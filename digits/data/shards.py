"""Parquet shards of digits, as training takes them and as those of MNIST in mnist/digits_mnist are."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROWS_PER_SHARD = 5_000


def write_shards(images: np.ndarray, labels: np.ndarray, folder: Path, prefix: str) -> list[Path]:
    """Write uint8 (N, 28, 28) images and integer labels (N,) as Parquet files of 5,000 rows each; returns their paths.

    The last one may have fewer; no digits give no file.
    """
    num_shards = -(-len(images) // ROWS_PER_SHARD)
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
