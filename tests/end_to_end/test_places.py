"""Where a job or the service is started: behind a proxy that nobody answers, in a folder whose path has a space."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.end_to_end.faults import ROOT
from tests.end_to_end.ports import free_ports
from tests.end_to_end.serve_cluster import get_json, private_environment, wait_for, write_config

TINY = ("--architecture", "baseline", "--epochs", "1")
CLOSED = "http://127.0.0.1:9"
"""A proxy that nobody runs."""


@pytest.fixture
def checkout(tmp_path) -> Path:
    """The project in a folder with a space and a quote in its path, and its interpreter there as well."""
    folder = tmp_path / "Ann's digits"
    for name in ("digits", "jobs", "serve"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / ".venv").symlink_to(sys.prefix)
    return folder


def interpreter_of(checkout: Path) -> Path:
    """The interpreter in that folder."""
    return checkout / ".venv" / "bin" / Path(sys.executable).name


@pytest.mark.slow
def test_training_in_a_folder_whose_path_has_a_space_and_behind_a_proxy(environment, checkout, tiny_mnist):
    flags = (*TINY, "--data", tiny_mnist)
    command = [interpreter_of(checkout), "jobs/train.py", *flags]
    env = {**os.environ, **environment, "http_proxy": CLOSED, "https_proxy": CLOSED, "no_proxy": "localhost"}
    done = subprocess.run(command, cwd=checkout, env=env, capture_output=True, text=True, timeout=250)
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
