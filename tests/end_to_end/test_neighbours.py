"""A training and a search do not notice the other Rays of their machine, whenever these start and however they end."""

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from itertools import cycle, islice
from pathlib import Path

import pytest

from digits.models import checkpoints
from tests.end_to_end.faults import Job, below
from tests.end_to_end.neighbours import end, of_a_process, of_ray_start
from tests.end_to_end.ports import free_ports
from tests.end_to_end.serve_cluster import private_environment, write_config

ROOT = Path(__file__).resolve().parents[2]
EPOCHS = 10
NEIGHBOURS = 10
"""How many other Rays come and go."""
KINDS = ((of_a_process, signal.SIGTERM), (of_ray_start, signal.SIGTERM), (of_a_process, signal.SIGKILL))
"""How they start, in turn, and what ends them."""
MISHAPS = ("failed", "starting workers again", "goes on after", "Traceback")


@pytest.fixture
def digits_folder(tmp_path):
    """Digits enough for epochs of some seconds: 5,000 of MNIST's."""
    folder = tmp_path / "digits"
    folder.mkdir()
    shutil.copy(ROOT / "digits" / "mnist" / "train-00-of-12.parquet", folder / "train-0.parquet")
    return folder


@pytest.fixture
def start_service(storage_path, ray_folder):
    """Starts the service, as `make serve` does, with a folder and ports of its own."""
    (port,) = free_ports(1)
    config = write_config(ray_folder, port, storage_path)

    return lambda: Job("-m", "serve", config, env=private_environment(ray_folder))


def come_and_go(kinds, env):
    """Start other Rays, one after the other, and end each."""
    for kind, number in kinds:
        neighbour, ready = kind(env)
        try:
            neighbour.wait_for(ready)
        finally:
            end(neighbour, number)


@contextmanager
def paused(job):
    """Its training workers stand still meanwhile: whatever happens, happens in the middle of training."""
    workers = [pid for pid, command in below(job.process.pid).items() if "RayTrainWorker" in command]
    assert workers
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in workers:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def undisturbed(job):
    """The job's document; no worker failed, and nothing was tried again."""
    assert job.wait() == 0, job.output
    assert not [line for line in job.lines if any(word in line for word in MISHAPS)], job.output
    return json.loads(job.lines[-1])


def epochs_of(run_dir, network):
    """The epochs that a network's last checkpoint tells of, in their order."""
    (last,) = Path(run_dir).glob(f"{network}-seed0-epoch{EPOCHS:03d}")
    return [epoch["epoch"] for epoch in checkpoints.load(str(last)).record["history"]]


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_training_does_not_notice_other_rays(environment, start_service, digits_folder, tmp_path):
    env = {**environment, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    earlier, ready = of_ray_start(env)
    try:
        earlier.wait_for(ready)
        flags = ("--architecture", "baseline", "--batch-size", 20, "--data", digits_folder)
        job = Job("jobs/train.py", *flags, "--epochs", EPOCHS, "--storage-path", tmp_path / "runs", env=env)
        job.wait_for(f"epoch  1/{EPOCHS}")
    finally:
        end(earlier, signal.SIGTERM)
    kinds = islice(cycle(KINDS), EPOCHS - 2)
    for epoch, (kind, number) in enumerate(kinds, start=1):
        job.wait_for(f"epoch {epoch:2}/{EPOCHS}")
        with paused(job):
            come_and_go([(kind, number)], env)
    job.wait_for(f"epoch {EPOCHS - 1:2}/{EPOCHS}")
    with paused(job):
        serving = start_service()
        try:
            serving.wait_for("Started Serve")
        finally:
            end(serving, signal.SIGKILL)
    assert epochs_of(undisturbed(job)["run_dir"], "baseline") == list(range(1, EPOCHS + 1))


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_search_does_not_notice_other_rays(environment, tiny_mnist, tmp_path):
    """Its trials are training runs, which hold their workers until the own state API tells that they were stopped."""
    settings = ("--num-samples", 4, "--max-epochs", 4, "--train-images", 100, "--validation-images", 40)
    flags = (*settings, "--batch-size", 20, "--workers-per-trial", 2, "--epochs", EPOCHS, "--data", tiny_mnist)
    job = Job("jobs/tune.py", *flags, "--storage-path", tmp_path, env=environment)
    job.wait_for("epoch  1/4")
    come_and_go(islice(cycle(KINDS), NEIGHBOURS), environment)
    assert "Trials, the best first" not in job.output, "the search was over before its neighbours were"
    document = undisturbed(job)
    assert (document["trials"], document["failed"]) == (4, 0)
    assert document["stopped_early"] > 0
    for path in Path(document["run_dir"], "trials").glob("*.json"):
        trial = json.loads(path.read_text())
        assert [epoch["epoch"] for epoch in trial["history"]] == list(range(1, trial["epochs_trained"] + 1))
    assert epochs_of(document["run_dir"], "tuned") == list(range(1, EPOCHS + 1))


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_long_training_on_a_busy_machine_loses_nothing(environment, digits_folder, tmp_path):
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(8)]
    try:
        flags = ("--architecture", "baseline", "--epochs", 20, "--data", digits_folder, "--storage-path", tmp_path)
        job = Job("jobs/train.py", *flags, env=environment)
        job.wait_for("epoch  1/20")
        come_and_go(islice(cycle(KINDS), NEIGHBOURS), environment)
        assert undisturbed(job)["runs"][0]["epochs"] == 20
    finally:
        for process in busy:
            process.kill()
            process.wait()
    assert sum("| train loss" in line for line in job.lines) == 20
