"""The tuning job as people run it: submitted to a cluster, and when a trial, the job or its user ends it early."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from digits import checkpoints
from jobs import tune
from jobs.console import run_job

ROOT = Path(__file__).resolve().parents[2]
RAY = Path(sys.executable).with_name("ray")
KEYS = {"best", "trials", "stopped_early", "failed", "epochs_trained", "epochs_without_early_stopping", "total_s"}
KEYS |= {"run_dir"}
LIMIT_S = 1200
"""A busy machine may take many times the usual minute."""


def flags(data, storage, *, max_epochs=2):
    """A small search: three trials on 100 digits, one short full training."""
    return [
        "--num-samples", "3", "--max-epochs", str(max_epochs), "--train-images", "100", "--validation-images", "40",
        "--batch-size", "20", "--epochs", "1", "--data", str(data), "--storage-path", str(storage),
    ]  # fmt: skip


class Job:
    """jobs/tune.py in a process of its own, and the lines it has printed."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen(
            [sys.executable, "jobs/tune.py", *arguments],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        self.lines, self.errors = [], []
        self.readers = [
            threading.Thread(target=lambda lines=lines, stream=stream: lines.extend(stream), daemon=True)
            for lines, stream in ((self.lines, self.process.stdout), (self.errors, self.process.stderr))
        ]
        for reader in self.readers:
            reader.start()

    def wait_for(self, pattern):
        """Wait until a line matches; returns the match."""
        deadline = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline:
            for line in list(self.lines):
                if match := re.search(pattern, line):
                    return match
            assert self.process.poll() is None, "".join(self.errors)
            time.sleep(0.1)
        raise AssertionError(f"no line like {pattern}: {self.lines}")

    def end(self):
        """Wait for the end; returns the JSON document."""
        self.process.wait(LIMIT_S)
        for reader in self.readers:
            reader.join(30)
        return json.loads(self.lines[-1])

    def trial_processes(self):
        """Process ids of the actors that train, among the descendants of the job."""
        parents, names = {}, {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    stat = (entry / "stat").read_text()
                    names[int(entry.name)] = (entry / "cmdline").read_text()
                except (FileNotFoundError, ProcessLookupError):
                    continue
                parents[int(entry.name)] = int(stat.rsplit(")", 1)[1].split()[1])
        mine = {self.process.pid}
        while found := {pid for pid, parent in parents.items() if parent in mine} - mine:
            mine |= found
        return [pid for pid in mine if names[pid].startswith(("ray::train_alone", "ray::ImplicitFunc"))]

    def kill(self):
        """End the job, and with it the cluster that it started."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(60)


@pytest.fixture
def start():
    """Starts jobs, and ends those that are left."""
    jobs = []

    def start_job(*arguments):
        jobs.append(Job(*arguments))
        return jobs[-1]

    yield start_job
    for job in jobs:
        job.kill()


@pytest.mark.slow
@pytest.mark.timeout(LIMIT_S)
def test_a_killed_trial_is_counted_and_the_search_goes_on(start, tiny_mnist, tmp_path):
    job = start(*flags(tiny_mnist, tmp_path, max_epochs=40))
    number = job.wait_for(r"trial-(\d+) .* epoch  1/40")[1]
    for pid in job.trial_processes():
        os.kill(pid, signal.SIGKILL)
    document = job.end()
    assert job.process.returncode == 0, job.errors
    assert set(document) == KEYS
    assert document["trials"] == 3
    assert 1 <= document["failed"] <= 2
    assert any(re.search(rf"trial-{number} .* failed after \d+ epochs: \S", line) for line in job.lines)
    assert checkpoints.best_checkpoint(str(tmp_path)) == document["best"]["checkpoint"]


@pytest.mark.slow
@pytest.mark.timeout(LIMIT_S)
def test_a_killed_search_goes_on_and_repeats_no_finished_trial(start, tiny_mnist, tmp_path):
    killed = start(*flags(tiny_mnist, tmp_path))
    finished = killed.wait_for(r"(trial-\d+) .* (finished|stopped early) after")[1]
    killed.kill()
    run = next(tmp_path.glob("tune-*")).name
    resumed = start("--resume", run, "--storage-path", str(tmp_path))
    document = resumed.end()
    assert resumed.process.returncode == 0, resumed.errors
    assert re.search(r"3 trials, [1-3] of them ended earlier", resumed.lines[0])
    assert not any(line.startswith(finished) and "epoch  " in line for line in resumed.lines)
    assert document["trials"] == 3
    assert document["best"]["checkpoint"].startswith(document["run_dir"])
    checkpoints.load(document["best"]["checkpoint"])


@pytest.mark.slow
@pytest.mark.timeout(LIMIT_S)
def test_ctrl_c_reports_the_best_so_far_and_the_search_can_go_on(start, tiny_mnist, tmp_path):
    job = start(*flags(tiny_mnist, tmp_path, max_epochs=200))
    job.wait_for(r"trial-\d+ .* epoch  2/200")
    job.process.send_signal(signal.SIGINT)
    document = job.end()
    assert job.process.returncode == 130
    assert set(document) == KEYS
    assert 0 < document["best"]["score"] <= 1
    assert checkpoints.load(document["best"]["checkpoint"]).record["metrics"]["photo_score"] > 0
    assert any(f"go on with --resume {Path(document['run_dir']).name}" in line for line in job.lines)
    assert "Traceback" not in "".join(job.errors)


def free_ports(count):
    """Ports of loopback that nobody uses now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.fixture
def head(tmp_path_factory):
    """A head node on loopback, started as on a cluster; gives the address for jobs."""
    gcs, dashboard, client, agent_grpc, agent_http = free_ports(5)
    log = tmp_path_factory.mktemp("head") / "head.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [
                RAY, "start", "--head", "--block", "--num-cpus=2", "--node-ip-address=127.0.0.1",
                f"--port={gcs}", f"--dashboard-port={dashboard}", "--dashboard-host=127.0.0.1",
                f"--ray-client-server-port={client}", f"--dashboard-agent-grpc-port={agent_grpc}",
                f"--dashboard-agent-listen-port={agent_http}", "--disable-usage-stats",
            ],
            stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    address = f"http://127.0.0.1:{dashboard}"
    environment = {**os.environ, "RAY_API_SERVER_ADDRESS": address}
    deadline = time.monotonic() + 300
    while subprocess.run([RAY, "job", "list"], env=environment, capture_output=True, timeout=240).returncode:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(1)
    yield environment
    process.terminate()
    process.wait(120)


@pytest.mark.slow
@pytest.mark.timeout(2 * LIMIT_S)
def test_the_job_is_submitted_by_its_path_and_its_output_and_exit_code_come_back(head, tiny_mnist, tmp_path):
    submit = [RAY, "job", "submit", "--working-dir", ".", "--", "jobs/tune.py"]
    job = subprocess.run(
        [*submit, *flags(tiny_mnist, tmp_path)], cwd=ROOT, env=head, capture_output=True, text=True, timeout=LIMIT_S
    )
    assert job.returncode == 0, job.stdout + job.stderr
    document = json.loads(next(line for line in reversed(job.stdout.splitlines()) if line.startswith("{")))
    assert set(document) == KEYS
    assert document["trials"] == 3
    assert document["failed"] == 0
    assert checkpoints.best_checkpoint(str(tmp_path)) == document["best"]["checkpoint"]
    assert "epoch  1/2 | loss" in job.stdout

    refused = subprocess.run(
        [*submit, "--max-parameters", "10"], cwd=ROOT, env=head, capture_output=True, text=True, timeout=LIMIT_S
    )
    assert refused.returncode == 1
    assert "the smallest has" in refused.stdout + refused.stderr


MISTAKES = [
    (["--max-parameters", "100"], "no network of this space has at most 100 parameters"),
    (["--filters", "64", "8"], "filters from 64 to 8"),
    (["--num-samples", "0"], "num_samples = 0"),
    (["--max-epochs", "0"], "max_epochs = 0"),
    (["--seeds", "1", "1"], "seeds (1, 1)"),
    (["--resume", "nothing-here"], "no search that can go on"),
    (["--storage-path", "/proc/runs"], "cannot write"),
]


@pytest.mark.parametrize(("arguments", "words"), MISTAKES, ids=lambda value: str(value)[:40])
def test_a_mistake_is_one_message_before_ray_starts(arguments, words, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["job", *arguments])
    monkeypatch.setattr(tune.cluster, "connect", lambda: pytest.fail("Ray was started"))
    with pytest.raises(SystemExit) as ended:
        run_job(tune.TuneSettings, tune.tune, None)
    message = str(ended.value.code)
    assert words in message
    assert "expected: " in message
    assert "what to do: " in message
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
