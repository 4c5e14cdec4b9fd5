"""`ray job submit --working-dir . jobs/train.py`: what is uploaded, what is streamed, exit codes, and a stopped job."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import pytest

from digits.models import checkpoints
from tests.end_to_end import faults
from tests.end_to_end.faults import ROOT, report_recovery
from tests.end_to_end.ports import free_ports

MAX_UPLOAD_BYTES = 20e6
RAY = str(Path(sys.executable).parent / "ray")


def test_jobs_can_be_run_by_name():
    for name in ("train.py", "evaluate.py", "tune.py"):
        job = ROOT / "jobs" / name
        assert os.access(job, os.X_OK), name
        assert job.read_text().startswith("#!/usr/bin/env python\n"), name


def test_the_upload_is_small(tmp_path):
    """What Ray would upload of the tracked files, by Ray's own packing."""
    from ray._private.runtime_env.packaging import create_package

    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    names = [os.fsdecode(name) for name in tracked.split(b"\0") if name]
    for name in names:
        if (ROOT / name).exists():
            (tmp_path / "project" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tmp_path / "project" / name)
    # Things that lie about in a checkout, and must stay where they are.
    for name in (".venv", "runs", ".git"):
        (tmp_path / "project" / name).mkdir()
        (tmp_path / "project" / name / "large").write_bytes(bytes(30_000_000))
    package = tmp_path / "package.zip"
    create_package(str(tmp_path / "project"), package, include_gitignore=True, excludes=[".git", ".venv"])
    assert package.stat().st_size < MAX_UPLOAD_BYTES
    packed = zipfile.ZipFile(package).namelist()
    assert any(name.endswith("digits/mnist/train-00-of-12.parquet") for name in packed)
    assert not any("large" in name for name in packed)


class Head:
    """A cluster of one node that jobs are submitted to, with its token, in a home of its own."""

    def __init__(self, folder: Path) -> None:
        # Ports of our own: other clusters may run on this machine with the usual ones.
        self.port, client_port, agent_port = free_ports(3)
        home = folder / "home"
        home.mkdir()
        self.env = {
            **{key: value for key, value in os.environ.items() if not key.startswith("RAY_")},
            "HOME": str(home),
            "RAY_TMPDIR": str(folder),
            "RAY_AUTH_MODE": "token",
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_API_SERVER_ADDRESS": f"http://127.0.0.1:{self.port}",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        self.ray("get-auth-token", "--generate")
        ports = (f"--dashboard-port={self.port}", f"--ray-client-server-port={client_port}")
        agent = f"--dashboard-agent-listen-port={agent_port}"
        start = ("start", "--head", "--block", "--port=0", *ports, agent, "--num-cpus=2")
        log = (folder / "head.log").open("w")
        self.process = subprocess.Popen([RAY, *start], env=self.env, stdout=log, stderr=log)

    def ray(self, *arguments: str | Path, **env: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [RAY, *map(str, arguments)],
            cwd=ROOT,
            env={**self.env, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=faults.PATIENCE_S,
        )

    def submit(self, *arguments, flags=(), **env):
        return self.ray("job", "submit", "--working-dir", ".", *flags, "--", *arguments, **env)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)


@pytest.fixture(scope="module")
def head():
    folder = Path(tempfile.mkdtemp(prefix="ray"))
    head = Head(folder)
    deadline = time.monotonic() + faults.PATIENCE_S
    while head.ray("job", "list").returncode != 0:
        assert head.process.poll() is None and time.monotonic() < deadline, (folder / "head.log").read_text()
        time.sleep(1)
    yield head
    head.stop()
    shutil.rmtree(folder, ignore_errors=True)


def train(storage, data, epochs=40):
    return (
        "jobs/train.py",
        "--architecture",
        "baseline",
        "--epochs",
        epochs,
        "--data",
        data,
        "--storage-path",
        storage,
    )


@pytest.mark.slow
@pytest.mark.timeout(280)
def test_without_the_token_nothing_runs(head, tmp_path):
    (tmp_path / "home").mkdir()
    refused = head.submit("echo", "hello", HOME=str(tmp_path / "home"), RAY_AUTH_MODE="disabled")
    assert refused.returncode != 0
    assert "hello" not in refused.stdout.splitlines()


@pytest.mark.slow
@pytest.mark.timeout(280)
def test_a_mistake_is_streamed_and_fails_the_submission(head, tmp_path):
    submitted = head.submit(*train(tmp_path, tmp_path / "nowhere"))
    assert submitted.returncode == 1
    assert "there are no Parquet files in" in submitted.stdout
    assert "what to do:" in submitted.stdout


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_a_stopped_job_leaves_epochs_to_go_on_from(head, tiny_mnist, tmp_path):
    assert head.submit(*train(tmp_path, tiny_mnist), flags=("--no-wait", "--submission-id", "first")).returncode == 0
    deadline = time.monotonic() + faults.PATIENCE_S
    while "epoch  3/40" not in head.ray("job", "logs", "first").stdout:
        assert time.monotonic() < deadline
        time.sleep(1)
    started = time.perf_counter()
    assert head.ray("job", "stop", "first").returncode == 0
    report_recovery("ray job stop, to the end of the job", time.perf_counter() - started)
    epochs = sorted(tmp_path.glob("*/baseline-seed0-epoch*"))
    assert len(epochs) >= 3
    for path in epochs[:-1]:
        checkpoints.load(str(path))
    assert not (tmp_path / "best.json").exists()

    # The last one may have been in the making; whatever it is, training goes on.
    resumed = head.submit("jobs/train.py", "--storage-path", tmp_path, "--resume", epochs[0].parent.name)
    assert resumed.returncode == 0, resumed.stdout
    assert "goes on after epoch" in resumed.stdout
    document = next(json.loads(line) for line in resumed.stdout.splitlines() if line.startswith('{"runs"'))
    assert document["runs"][0]["epochs"] == 40
    checkpoints.load(checkpoints.best_checkpoint(str(tmp_path)))
