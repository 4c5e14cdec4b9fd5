"""Two nodes with addresses of their own: network namespaces joined by a cable that can be pulled."""

import contextlib
import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

from digits.models import checkpoints
from tests.end_to_end import faults
from tests.end_to_end.faults import PATIENCE_S, ROOT, report_recovery
from tests.end_to_end.serve_cluster import haproxy_files, wait_for

RAY = Path(sys.executable).parent / "ray"
GCS_PORT = 6390
"""Of the head; in a namespace of its own every port is free."""
EPOCHS = 8
OUTAGE_S = 5.0

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("ip"), reason="needs root and iproute2"),
]


def ip(*words):
    subprocess.run(["ip", *words], check=True)


class Network:
    """Two namespaces, with 10.213.7.1 and 10.213.7.2, which reach each other and nothing else; a Ray node in each."""

    def __init__(self, folder):
        self.folder = folder
        self.names = [f"digits-{os.getpid()}-{index}" for index in (1, 2)]
        self.addresses = ["10.213.7.1", "10.213.7.2"]
        self.processes = []

    def start(self):
        (self.folder / "home").mkdir()
        subprocess.run([RAY, "get-auth-token", "--generate"], env=self.env, check=True, capture_output=True)
        for name in self.names:
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        head, other = self.names
        ip("link", "add", "cable", "netns", head, "type", "veth", "peer", "name", "cable", "netns", other)
        for name, address in zip(self.names, self.addresses, strict=True):
            ip("-n", name, "address", "add", f"{address}/24", "dev", "cable")
            ip("-n", name, "link", "set", "cable", "up")
        self.start_node(0, "--head", f"--port={GCS_PORT}", "--include-dashboard=false")
        self.start_node(1, f"--address={self.addresses[0]}:{GCS_PORT}")
        self.wait_for_nodes()

    def start_node(self, index, *flags):
        log = (self.folder / f"node{index}.log").open("w")
        command = [RAY, "start", "--block", "--num-cpus=2", f"--node-ip-address={self.addresses[index]}", *flags]
        env = {**self.env, **haproxy_files(self.folder / f"haproxy{index}")}  # the nodes share this machine's files
        self.processes.append(
            subprocess.Popen(self.inside(index, *command), env=env, stdout=log, stderr=subprocess.STDOUT)
        )

    @property
    def env(self):
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        return {
            **kept,
            "HOME": str(self.folder / "home"),
            "RAY_AUTH_MODE": "token",
            "RAY_TMPDIR": str(self.folder),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "1",
            "RAY_ADDRESS": f"{self.addresses[0]}:{GCS_PORT}",
        }

    def inside(self, index, *command):
        """A command line that runs in a namespace."""
        return ["ip", "netns", "exec", self.names[index], *map(str, command)]

    def wait_for_nodes(self):
        count = "import ray; ray.init(logging_level='ERROR'); print(sum(n['Alive'] for n in ray.nodes()))"
        deadline = time.monotonic() + PATIENCE_S
        while True:
            asked = subprocess.run(
                self.inside(0, sys.executable, "-c", count), env=self.env, capture_output=True, text=True
            )
            if asked.returncode == 0 and asked.stdout.split()[-1] == "2":
                return
            assert time.monotonic() < deadline, "\n".join(log.read_text() for log in self.folder.glob("*.log"))
            time.sleep(1)

    def train(self, data, storage, num_workers):
        """Start the training job on the head's node."""
        settings = {
            "architecture": "baseline", "epochs": EPOCHS, "data": data, "storage-path": storage,
            "num-workers": num_workers, "batch-size": 8,
        }  # fmt: skip
        flags = (word for name, value in settings.items() for word in (f"--{name}", value))
        return faults.Job("jobs/train.py", *flags, env=self.env, before=self.inside(0))

    def serve(self, config):
        """Start the service on the cluster, from the head's node."""
        return faults.Job("-m", "serve", config, env=self.env, before=self.inside(0))

    def output_of(self, index, *command):
        """What a command prints that runs in a namespace; nothing where it fails."""
        return subprocess.run(
            self.inside(index, *command), cwd=ROOT, env=self.env, capture_output=True, text=True
        ).stdout

    def pull_cable(self):
        ip("-n", self.names[1], "link", "set", "cable", "down")

    def plug_cable(self):
        ip("-n", self.names[1], "link", "set", "cable", "up")

    def stop(self):
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            process.wait(60)
        for name in self.names:
            with contextlib.suppress(subprocess.CalledProcessError):
                ip("netns", "delete", name)


@pytest.fixture(scope="module")
def network():
    folder = Path(tempfile.mkdtemp(prefix="ray"))
    network = Network(folder)
    try:
        network.start()
        yield network
    finally:
        network.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def alone(network, tiny_mnist, tmp_path_factory):
    """The last checkpoint that one worker makes."""
    return checkpoint_of(network.train(tiny_mnist, tmp_path_factory.mktemp("alone"), 1))


def checkpoint_of(job):
    """The last epoch's checkpoint of a job, which must succeed."""
    assert job.wait() == 0, job.output
    run_dir = Path(json.loads(job.lines[-1])["run_dir"])
    return checkpoints.load(str(run_dir / f"baseline-seed0-epoch{EPOCHS:03d}"))


def assert_same(checkpoint, expected):
    """The same epochs with the same losses, but for the order of sums, which Adam enlarges."""
    losses = [[epoch["train_loss"] for epoch in one.record["history"]] for one in (checkpoint, expected)]
    assert len(losses[0]) == EPOCHS
    np.testing.assert_allclose(*losses, rtol=0.1)
    np.testing.assert_allclose(losses[0][:3], losses[1][:3], rtol=2e-2)


def test_workers_at_two_addresses_make_the_model_of_one_also_where_the_network_is_gone_for_seconds(
    network, tiny_mnist, tmp_path, alone
):
    job = network.train(tiny_mnist, tmp_path, 2)
    job.wait_for(f"epoch  2/{EPOCHS}")
    network.pull_cable()
    time.sleep(OUTAGE_S)
    network.plug_cable()
    started = time.perf_counter()
    job.wait_for(" | train loss", after=len(job.lines))
    report_recovery(f"network gone for {OUTAGE_S:.0f} s", time.perf_counter() - started)
    checkpoint = checkpoint_of(job)
    assert checkpoint.record["training"]["num_workers"] == 2
    assert_same(checkpoint, alone)


@pytest.fixture
def config(network, tmp_path):
    """Writes a configuration of the service with a host and two replicas, one on each node."""

    def write(host):
        config = yaml.safe_load((ROOT / "serve" / "config.yaml").read_text())
        config["http_options"]["host"] = host
        (deployment,) = config["applications"][0]["deployments"]
        deployment["user_config"] = {"checkpoint": "shipped"}
        deployment["autoscaling_config"] = {"min_replicas": 2, "max_replicas": 2}
        deployment["max_replicas_per_node"] = 1
        file = tmp_path / f"{host}.yaml"
        file.write_text(yaml.safe_dump(config))
        return file

    return write


LOAD = """
from digits.benchmarks.serving.load import measure
result = measure("http://127.0.0.1:8000", "tensor-1", 3, 8)
print(result.failed)
"""
STATISTICS = "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:8404/stats;csv').read().decode())"


@pytest.mark.long
def test_replicas_of_both_nodes_answer_behind_either_haproxy_and_a_host_that_prevents_it_is_refused(network, config):
    refused = network.serve(config("127.0.0.1"))
    assert refused.wait() == 1
    assert "host is 127.0.0.1, on a cluster of 2 nodes" in refused.output and "Traceback" not in refused.output
    assert "what to do: set http_options.host to 0.0.0.0" in refused.output

    service = network.serve(config("0.0.0.0"))
    try:
        for index in (0, 1):
            assert answered_by_replicas(network, index) == [True, True]
    finally:
        service.stop(signal.SIGINT)
        service.wait()


def answered_by_replicas(network, index):
    """Whether each replica answers at least a quarter of what is sent to a node's HAProxy, which must lose nothing."""

    def replicas():
        rows = list(csv.DictReader(network.output_of(index, sys.executable, "-c", STATISTICS).splitlines()))
        return [row for row in rows if "DigitClassifier" in row["svname"]]

    wait_for(lambda: [row["status"] for row in replicas()] == ["UP", "UP"], "two replicas behind HAProxy", PATIENCE_S)
    assert network.output_of(index, sys.executable, "-c", LOAD).split() == ["0"]
    answered = [int(row["stot"]) for row in replicas()]
    print(f"answered behind the HAProxy of node {index}: {answered}")
    return [count >= sum(answered) / 4 > 0 for count in answered]
