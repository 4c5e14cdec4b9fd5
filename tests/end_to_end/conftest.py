"""The world of the end-to-end tests: a checkpoint that reads digits, made in two seconds, and a plain HTTP server."""

import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import uvicorn

from digits.images import to_rgb
from digits.models import checkpoints
from digits.models.inference import Classifier
from digits.service.api import create_api
from digits.service.service import Service
from tests.end_to_end.ports import free_ports
from tests.end_to_end.quick_checkpoint import quickly_trained_weights, read_shard, write_checkpoint
from tests.end_to_end.serve_cluster import end_processes


@pytest.fixture
def ray_folder() -> Iterator[Path]:
    """Where a Ray keeps its files: a short path, for its sockets. What was started with it ends with the test."""
    with tempfile.TemporaryDirectory(prefix="dg-", dir="/tmp", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        yield folder
        end_processes(folder)


@pytest.fixture
def environment(ray_folder) -> dict[str, str]:
    """Of a job whose Ray keeps to a folder of its own."""
    return {"RAY_TMPDIR": str(ray_folder), "HOME": str(ray_folder), "PYTHONUNBUFFERED": "1"}


@pytest.fixture(scope="session")
def storage_path(tmp_path_factory) -> Path:
    """A storage path with two checkpoints, `first` being the best, and a broken one."""
    runs = tmp_path_factory.mktemp("runs")
    weights = quickly_trained_weights(seed=0)
    write_checkpoint(runs / "first", weights)
    write_checkpoint(runs / "second", {**weights, "output/kernel": weights["output/kernel"] * np.float32(0.9)})
    write_checkpoint(runs / "broken", weights)
    (runs / "broken" / "weights.npz").write_bytes(b"damaged")
    (runs / "best.json").write_text('{"checkpoint": "first"}')
    return runs


@pytest.fixture(scope="session")
def direct(storage_path) -> Classifier:
    """The direct call of the checkpoint `first`."""
    checkpoint = checkpoints.load(str(storage_path / "first"))
    return Classifier(checkpoint.architecture, checkpoint.weights, temperature=checkpoint.temperature)


@pytest.fixture(scope="session")
def test_digits() -> tuple[np.ndarray, np.ndarray]:
    """Digits that the checkpoint has not seen: uint8 (5000, 28, 28, 3) and their labels."""
    images, labels = read_shard("test-00-of-02.parquet")
    return to_rgb(images), labels


@pytest.fixture(scope="session")
def plain_server(storage_path) -> Iterator[str]:
    """The API on a plain uvicorn, without Ray: the address of a server with the checkpoint `first`."""
    service = Service()
    service.swap({"storage_path": str(storage_path)})
    (port,) = free_ports(1)
    server = uvicorn.Server(uvicorn.Config(create_api(service), host="127.0.0.1", port=port, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(10)
