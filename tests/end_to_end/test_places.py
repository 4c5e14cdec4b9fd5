"""Where a job or the service is started: behind a proxy that nobody answers, in a folder whose path has a space."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.end_to_end.faults import ROOT, Job
from tests.end_to_end.ports import free_ports
from tests.end_to_end.serve_cluster import get_json, private_environment, wait_for, write_config

TINY = ("--architecture", "baseline", "--epochs", "1")
CLOSED = "http://127.0.0.1:9"
"""A proxy that nobody runs."""


def document_of(job: Job) -> dict:
    """The last line of a job that succeeds."""
    assert job.wait() == 0, job.output
    return json.loads(job.lines[-1])


@pytest.mark.slow
def test_training_does_not_go_through_a_proxy(environment, tiny_mnist, tmp_path):
    proxy = {"http_proxy": CLOSED, "https_proxy": CLOSED, "no_proxy": "localhost"}
    storage = ("--data", tiny_mnist, "--storage-path", tmp_path)
    job = Job("jobs/train.py", *TINY, *storage, env={**environment, **proxy})
    assert len(document_of(job)["runs"]) == 1


@pytest.fixture
def checkout(tmp_path) -> Path:
    """The project in a folder with a space and a quote in its path, and its interpreter there as well."""
    folder = tmp_path / "Ann's digits"
    for name in ("digits", "jobs", "serve"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("mnist", "__pycache__"))
    (folder / ".venv").symlink_to(sys.prefix)
    return folder


def interpreter_of(checkout: Path) -> Path:
    """The interpreter in that folder."""
    return checkout / ".venv" / "bin" / Path(sys.executable).name


@pytest.mark.slow
def test_training_in_a_folder_whose_path_has_a_space(environment, checkout, tiny_mnist):
    flags = (*TINY, "--data", tiny_mnist)
    command = [interpreter_of(checkout), "jobs/train.py", *flags]
    done = subprocess.run(
        command, cwd=checkout, env={**os.environ, **environment}, capture_output=True, text=True, timeout=250
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert Path(json.loads(done.stdout.splitlines()[-1])["run_dir"]).parent == checkout / "runs"


@pytest.mark.long
def test_the_service_in_a_folder_whose_path_has_a_space(ray_folder, checkout, storage_path):
    (port,) = free_ports(1)
    command = [interpreter_of(checkout), "-m", "serve", write_config(checkout, port, storage_path)]
    log = (checkout / "log").open("w")
    with subprocess.Popen(command, cwd=checkout, env=private_environment(ray_folder), stdout=log, stderr=log) as server:

        def answers():
            assert server.poll() is None, (checkout / "log").read_text()
            return get_json(f"http://127.0.0.1:{port}/health")

        try:
            wait_for(answers, "an answer of the service", 200)
        finally:
            server.terminate()
