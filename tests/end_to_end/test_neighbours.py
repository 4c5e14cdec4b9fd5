"""A training and a search do not notice the other Rays of their machine, whenever these start and however they end."""

import csv
import json
import secrets
import shutil
import signal
import tempfile
from itertools import cycle, islice
from pathlib import Path

import pytest
import yaml
from faults import Job
from neighbours import end, of_a_process, of_ray_start, of_the_service
from serve_cluster import private_environment
from test_own_ray import environment  # noqa: F401  where the job's Ray keeps its files

ROOT = Path(__file__).resolve().parents[2]
EPOCHS = 10
NEIGHBOURS = 10
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
def service(storage_path):
    """Environment of a service with a folder and ports of its own."""
    folder = Path(tempfile.mkdtemp(prefix="ray"))
    env = private_environment(folder)
    config = yaml.safe_load((ROOT / "serve" / "config.yaml").read_text())
    config["http_options"]["port"] = int(env["RAY_SERVE_HAPROXY_STATS_PORT"]) + 500
    config["applications"][0]["deployments"][0]["user_config"]["storage_path"] = str(storage_path)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    yield {**env, "SERVICE_CONFIG": str(folder / "config.yaml")}
    shutil.rmtree(folder, ignore_errors=True)


def come_and_go(count, env):
    """Start other Rays, one after the other, and end each."""
    for kind, number in islice(cycle(KINDS), count):
        neighbour, ready = kind(env)
        try:
            neighbour.wait_for(ready)
        finally:
            end(neighbour, number)


def undisturbed(job):
    """The job's document; no worker failed, and nothing was tried again."""
    assert job.wait() == 0, job.output
    assert not [line for line in job.lines if any(word in line for word in MISHAPS)], job.output
    return json.loads(job.lines[-1])


def history_of(document):
    """The epochs in a run's history.csv, in its order."""
    with Path(document["run_dir"], "history.csv").open() as file:
        return [int(row["epoch"]) for row in csv.DictReader(file)]


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_a_training_does_not_notice_other_rays(environment, service, digits_folder, tmp_path):  # noqa: F811
    env = {**environment, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    earlier, ready = of_ray_start(env)
    try:
        earlier.wait_for(ready)
        flags = ("--architecture", "baseline", "--batch-size", 20, "--data", digits_folder)
        job = Job("jobs/train.py", *flags, "--epochs", EPOCHS, "--storage-path", tmp_path / "runs", env=env)
        job.wait_for(f"epoch  1/{EPOCHS}")
    finally:
        end(earlier, signal.SIGTERM)
    serving, ready = of_the_service(service)
    try:
        come_and_go(NEIGHBOURS - 2, env)
        serving.wait_for(ready)
    finally:
        end(serving, signal.SIGKILL)
    assert f"epoch {EPOCHS}/{EPOCHS}" not in job.output, "training was over before its neighbours were"
    assert history_of(undisturbed(job)) == list(range(1, EPOCHS + 1))
