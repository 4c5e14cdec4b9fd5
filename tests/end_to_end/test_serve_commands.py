"""The commands that start the service on one machine, and what they say when there is nothing to serve."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import yaml

from tests.end_to_end.ports import free_ports
from tests.end_to_end.serve_cluster import BIN, ROOT, end_processes, get_json, private_environment, wait_for


@pytest.fixture
def folder():
    with tempfile.TemporaryDirectory(prefix="dg-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        yield Path(folder)
        end_processes(Path(folder))


def write_config(folder: Path, port: int, storage_path: Path) -> Path:
    config = yaml.safe_load((ROOT / "serve" / "config.yaml").read_text())
    config["http_options"]["port"] = port
    config["applications"][0]["deployments"][0]["user_config"]["storage_path"] = str(storage_path)
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(config))
    return file


def test_without_a_checkpoint_the_command_says_at_once_how_to_make_one(folder):
    command = [sys.executable, "-m", "serve", str(write_config(folder, 1, folder / "runs"))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "best.json" in done.stderr and "make train" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("way", ["python -m serve", "serve run serve.app:build_app"])
def test_the_service_starts_on_one_machine_and_ends_with_control_c(folder, storage_path, way):
    if way.startswith("python"):
        (port,) = free_ports(1)
        command = [sys.executable, "-m", "serve", str(write_config(folder, port, storage_path))]
    else:
        port = 8000  # this form knows no other
        command = [str(BIN / "serve"), "run", "serve.app:build_app", f"storage_path={storage_path}"]
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                pytest.skip("another process listens on port 8000")
    environment = private_environment(folder)
    with (folder / "serve.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}/health"
    wait_for(lambda: process.poll() is None and get_json(url) == {"status": "ok", "model": "first"}, "the start", 200)
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(90) == 0


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_serve_run_without_a_checkpoint_ends_with_the_remedy(folder):
    command = [str(BIN / "serve"), "run", "serve.app:build_app", f"storage_path={folder / 'runs'}"]
    done = subprocess.run(
        command, cwd=ROOT, env=private_environment(folder), capture_output=True, text=True, timeout=250
    )
    assert "make train" in done.stdout + done.stderr
