"""A training and a search do not notice the other Rays of their machine, whenever these start and however they end."""

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from itertools import cycle, islice
from pathlib import Path

import pytest

from digits.data.mnist import find_mnist
from digits.models import checkpoints
from tests.end_to_end.faults import PATIENCE_S, Job, below
from tests.end_to_end.neighbours import end, of_a_process, of_ray_start
from tests.end_to_end.ports import free_ports
from tests.end_to_end.serve_cluster import private_environment, wait_for, write_config

ROOT = Path(__file__).resolve().parents[2]
EPOCHS = 10
KINDS = ((of_a_process, signal.SIGTERM), (of_ray_start, signal.SIGTERM), (of_a_process, signal.SIGKILL))
"""How other Rays start, in turn, and what ends them."""
NEIGHBOURS = [len(KINDS), EPOCHS - 1]
"""How many of them come and go: each kind once, or one in every epoch."""
STAYS_S = 4
"""Ray Train asks every second whether its controller lives."""
MISHAPS = ("failed", "starting workers again", "goes on after", "Traceback")


@pytest.fixture
def digits_folder(tmp_path):
    """Digits enough for epochs of some seconds: 5,000 of MNIST's."""
    folder = tmp_path / "digits"
    folder.mkdir()
    shutil.copy(find_mnist() / "train-00-of-12.parquet", folder / "train-0.parquet")
    return folder


@pytest.fixture
def start_service(storage_path, ray_folder):
    """Starts the service, as `make serve` does, with a folder and ports of its own."""
    (port,) = free_ports(1)
    config = write_config(ray_folder, port, storage_path)

    return lambda: Job("-m", "serve", config, env=private_environment(ray_folder))


def come_and_go(kinds, env):
    """Start other Rays, one after the other, and end each once a job had the time to ask it something by mistake."""
    for kind, number in kinds:
        neighbour, ready = kind(env)
        try:
            neighbour.wait_for(ready)
            time.sleep(STAYS_S)
        finally:
            end(neighbour, number)


def workers_of(job):
    """Process ids of the training workers that a job has at this moment."""
    return [pid for pid, command in below(job.process.pid).items() if "RayTrainWorker" in command]


@contextmanager
def paused(job):
    """Its training workers stand still meanwhile: whatever happens, happens in the middle of training."""
    workers = wait_for(lambda: workers_of(job), "a training worker")
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in workers:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def undisturbed(job, code=0):
    """The document of a job that ends with this exit code; no worker failed, and nothing was tried again."""
    assert job.wait() == code, job.output
    *lines, document = job.lines
    assert not [line for line in lines if any(word in line for word in MISHAPS)], job.output
    return json.loads(document)


def epochs_of(run_dir, network, epochs):
    """The epochs that a network's last checkpoint tells of, in their order."""
    (last,) = Path(run_dir).glob(f"{network}-seed0-epoch{epochs:03d}")
    return [epoch["epoch"] for epoch in checkpoints.load(str(last)).record["history"]]


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("neighbours", NEIGHBOURS)
def test_a_training_does_not_notice_other_rays(neighbours, environment, start_service, digits_folder, tmp_path):
    epochs = neighbours + 2
    env = {**environment, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    earlier, ready = of_ray_start(env)
    try:
        earlier.wait_for(ready)
        flags = ("--architecture", "baseline", "--batch-size", 20, "--data", digits_folder)
        job = Job("jobs/train.py", *flags, "--epochs", epochs, "--storage-path", tmp_path / "runs", env=env)
        job.wait_for(f"epoch {1:2}/{epochs}")
    finally:
        end(earlier, signal.SIGTERM)
    for epoch, kind in enumerate(islice(cycle(KINDS), neighbours), start=1):
        job.wait_for(f"epoch {epoch:2}/{epochs}")
        with paused(job):
            come_and_go([kind], env)
    job.wait_for(f"epoch {epochs - 1:2}/{epochs}")
    with paused(job):
        serving = start_service()
        try:
            serving.wait_for("Started Serve")
        finally:
            end(serving, signal.SIGKILL)
    assert epochs_of(undisturbed(job)["run_dir"], "baseline", epochs) == list(range(1, epochs + 1))


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("neighbours", NEIGHBOURS)
def test_a_search_does_not_notice_other_rays(neighbours, environment, tiny_mnist, tmp_path):
    """Its trials are training runs, which hold their workers until the own state API tells that they were stopped."""
    settings = ("--num-samples", 100, "--train-images", 100, "--validation-images", 40, "--batch-size", 20)
    flags = (*settings, "--workers-per-trial", 2, "--max-epochs", 4, "--data", tiny_mnist)
    job = Job("jobs/tune.py", *flags, "--storage-path", tmp_path, env=environment)
    job.wait_for("epoch  1/4")
    come_and_go(islice(cycle(KINDS), neighbours), environment)

    def ended():
        return [json.loads(path.read_text()) for path in tmp_path.glob("tune-*/trials/*.json")]

    before = len(ended())
    wait_for(lambda: len(ended()) > before, "the end of a trial after its neighbours' end", PATIENCE_S)
    job.stop(signal.SIGINT)
    assert undisturbed(job, code=130)["failed"] == 0
    for trial in ended():
        assert trial["status"] in ("finished", "stopped early")
        assert [epoch["epoch"] for epoch in trial["history"]] == list(range(1, trial["epochs_trained"] + 1))


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_long_training_on_a_busy_machine_loses_nothing(environment, digits_folder, tmp_path):
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(8)]
    try:
        flags = ("--architecture", "baseline", "--epochs", 20, "--data", digits_folder, "--storage-path", tmp_path)
        job = Job("jobs/train.py", *flags, env=environment)
        job.wait_for("epoch  1/20")
        come_and_go(islice(cycle(KINDS), EPOCHS), environment)
        assert undisturbed(job)["runs"][0]["epochs"] == 20
    finally:
        for process in busy:
            process.kill()
            process.wait()
    assert sum("| train loss" in line for line in job.lines) == 20
