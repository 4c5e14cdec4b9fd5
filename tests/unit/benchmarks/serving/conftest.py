"""The service in this process, with the shipped networks."""

import pytest
from starlette.testclient import TestClient

from digits.service.api import create_api
from digits.service.service import Service


@pytest.fixture
def client():
    service = Service()
    service.swap({"checkpoint": "shipped"})
    with TestClient(create_api(service)) as client:
        yield client
