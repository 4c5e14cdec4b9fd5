"""Shared by all tests: a tiny world of digits; nothing of the user's own Ray set-up is read or written."""

import os
from pathlib import Path

# Before Ray is imported anywhere: no token file in the home directory, no usage report, quiet logs.
os.environ.setdefault("RAY_AUTH_MODE", "disabled")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.pop("RAY_ADDRESS", None)

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import settings

# The same examples in every run, however slow the machine is.
settings.register_profile("digits", deadline=None, derandomize=True)
settings.load_profile("digits")

SHIPPED = Path(__file__).resolve().parents[1] / "digits" / "mnist"
NUM_DIGITS = 600


@pytest.fixture(scope="session")
def tiny_mnist(tmp_path_factory):
    """A folder of three Parquet files with the first 600 of MNIST's digits; the last one is named as held out."""
    table = pq.read_table(SHIPPED / "train-00-of-12.parquet").slice(0, NUM_DIGITS).combine_chunks()
    folder = tmp_path_factory.mktemp("tiny_mnist")
    for name, start in (("train-0", 0), ("train-1", 200), ("test-0", 400)):
        part = table.slice(start, 200)
        images = np.ascontiguousarray(part["image"].chunk(0).to_numpy_ndarray())
        columns = {"image": pa.FixedShapeTensorArray.from_numpy_ndarray(images), "label": part["label"]}
        pq.write_table(pa.table(columns), folder / f"{name}.parquet")
    return str(folder)
