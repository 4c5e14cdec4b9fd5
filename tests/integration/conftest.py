"""One local Ray cluster for all integration tests, and a tiny world of digits."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import ray

import jobs.cluster  # noqa: F401  sets what Ray reads when it is imported
from digits import data

NUM_DIGITS = 600


@pytest.fixture(scope="session")
def cluster():
    """A Ray cluster in this session, with four logical CPUs on whatever the machine has."""
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def tiny_mnist(tmp_path_factory):
    """A folder of three Parquet files with the first 600 of MNIST's digits; the last one is named as held out."""
    table = pq.read_table(data.SHIPPED / "train-00-of-12.parquet").slice(0, NUM_DIGITS).combine_chunks()
    folder = tmp_path_factory.mktemp("tiny_mnist")
    for name, start in (("train-0", 0), ("train-1", 200), ("test-0", 400)):
        part = table.slice(start, 200)
        images = np.ascontiguousarray(part["image"].chunk(0).to_numpy_ndarray())
        columns = {"image": pa.FixedShapeTensorArray.from_numpy_ndarray(images), "label": part["label"]}
        pq.write_table(pa.table(columns), folder / f"{name}.parquet")
    return str(folder)
