"""One local Ray cluster for all integration tests."""

import pytest
import ray

import digits.cluster  # noqa: F401  sets what Ray reads when it is imported


@pytest.fixture(scope="session")
def cluster():
    """A Ray cluster in this session, with four logical CPUs on whatever the machine has."""
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()
