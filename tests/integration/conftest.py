"""One local Ray cluster for all integration tests."""

import pytest
import ray

from digits.cluster import start_cluster


@pytest.fixture(scope="session")
def cluster():
    """A Ray cluster in this session, with four logical CPUs on whatever the machine has."""
    start_cluster({"num_cpus": 4, "log_to_driver": False, "logging_level": "ERROR"}, state_api=False)
    yield
    ray.shutdown()
