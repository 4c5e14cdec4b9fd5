"""Digits in Parquet files, read as anyone would: without Ray, which the other sides then need not load."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


def read_parquet(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """All digits of a folder: uint8 (N, 28, 28) and int64 (N,)."""
    tables = [pq.read_table(file) for file in sorted(folder.glob("*.parquet"))]
    images = [chunk.to_numpy_ndarray() for table in tables for chunk in table["image"].chunks]
    return np.concatenate(images), np.concatenate([table["label"].to_numpy() for table in tables])


def write_parquet(file: Path, images: np.ndarray, labels: np.ndarray) -> None:
    """Write digits uint8 (N, 28, 28) and labels int64 (N,) in the format that digits.data reads."""
    column = pa.FixedShapeTensorArray.from_numpy_ndarray(np.ascontiguousarray(images))
    pq.write_table(pa.table({"image": column, "label": pa.array(labels)}), file, compression="zstd")
