"""Two nodes with addresses of their own: network namespaces joined by a cable that can be pulled."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

from digits.models import checkpoints
from tests.end_to_end import faults
from tests.end_to_end.faults import PATIENCE_S, report_recovery

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
        self.processes.append(
            subprocess.Popen(self.inside(index, *command), env=self.env, stdout=log, stderr=subprocess.STDOUT)
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
