"""A service with a checkpoint of random weights, in this process."""

import pytest
from starlette.testclient import TestClient

from digits.service.api import create_api
from digits.service.service import Service
from tests.unit.service.pictures import RecordingMetrics, write_checkpoint


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> str:
    return write_checkpoint(
        tmp_path_factory.mktemp("runs") / "one",
        calibration={"temperature": 1.5, "expected_calibration_error": 0.01},
        metrics={"validation_accuracy": 0.99},
        versions={"keras": "3"},
        history=[{"epoch": 1}],
    )


@pytest.fixture
def metrics() -> RecordingMetrics:
    return RecordingMetrics()


@pytest.fixture
def service(checkpoint, metrics) -> Service:
    service = Service(metrics)
    service.swap({"checkpoint": checkpoint})
    return service


@pytest.fixture
def client(service):
    with TestClient(create_api(service), raise_server_exceptions=False) as client:
        yield client
