"""A group of workers: which processes it starts beside them, and how a worker finds the others, past any proxy."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from digits.storage import Storage
from digits.training.group.tensorflow_cluster import free_address, join_cluster, worker_group
from digits.training.resources import Workers

ROOT = Path(__file__).resolve().parents[4]
PROXY = "http://127.0.0.1:9"
"""Nobody listens there."""
SUM = """
from digits.training.group.tensorflow_cluster import free_address, join_cluster
join_cluster([free_address()], 0)
import tensorflow as tf
strategy = tf.distribute.MultiWorkerMirroredStrategy()
total = strategy.run(lambda: tf.distribute.get_replica_context().all_reduce("SUM", tf.ones(3)))
print(total.numpy().tolist())
"""


@pytest.mark.parametrize(
    ("job_goes_on", "started"), [(False, set()), (True, {"DatasetsCallback", "PlacementGroupCleanerCallback"})]
)
def test_processes_that_nobody_needs_are_not_started(tmp_path, job_goes_on, started):
    """Each takes a second of the start, and 230 MB; only in a search has somebody to free what a trial had."""
    workers = Workers(num_workers=1, use_gpu=False, cpus_per_worker=1)
    group = worker_group(print, {}, workers, Storage.open(str(tmp_path)), callbacks=[], job_goes_on=job_goes_on)
    names = {type(each).__name__ for each in group._create_default_callbacks()}
    assert names & {"DatasetsCallback", "PlacementGroupCleanerCallback"} == started
    assert "BackendSetupCallback" in names


def test_a_sum_does_not_go_through_a_proxy():
    """The calls that training makes; where they go to the proxy they hang until they are killed."""
    env = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    done = subprocess.run(
        [sys.executable, "-c", SUM],
        cwd=ROOT,
        env={**env, "http_proxy": PROXY, "https_proxy": PROXY},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[1.0, 1.0, 1.0]"


def test_a_workers_port_is_taken_by_nobody_until_it_listens():
    """TensorFlow itself listens there in the test above."""
    port = int(free_address().rpartition(":")[2])
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("", port))
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as gRPC does
        other.bind(("", port))
        other.listen()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, "10.0.0.1,10.0.0.2,fd00::1"),
        ({"no_proxy": "localhost, .internal"}, "localhost,.internal,10.0.0.1,10.0.0.2,fd00::1"),
        ({"NO_PROXY": "localhost"}, "localhost,10.0.0.1,10.0.0.2,fd00::1"),
        # gRPC reads no_proxy only where this one is missing.
        ({"no_grpc_proxy": "10.0.0.2", "no_proxy": "localhost"}, "10.0.0.2,10.0.0.1,fd00::1"),
    ],
)
def test_workers_are_added_to_what_has_no_proxy(monkeypatch, before, after):
    environment = dict(before)
    monkeypatch.setattr(os, "environ", environment)
    join_cluster(["10.0.0.1:4000", "10.0.0.1:4001", "10.0.0.2:4000", "[fd00::1]:4000"], 1)
    task = json.loads(environment.pop("TF_CONFIG"))["task"]
    assert task == {"type": "worker", "index": 1}
    assert environment == {**before, "no_grpc_proxy": after}
