"""A Ray cluster of its own for tests of the service: private folder, free ports, ended by process ids."""

import contextlib
import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import yaml

from tests.end_to_end.ports import free_ports

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 120) -> Any:
    """The first true value of `condition`; an AssertionError that says what did not happen in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.25)
    raise AssertionError(f"{what} did not happen within {seconds} s")


def get_text(url: str) -> str:
    """What stands at `url`, or nothing while there is no good answer."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.read().decode()
    except (OSError, http.client.HTTPException):
        return ""


def get_json(url: str) -> Any:
    """The JSON at `url`, or None while there is none."""
    try:
        return json.loads(get_text(url))
    except ValueError:
        return None


def haproxy_files(folder: Path) -> dict[str, str]:
    """Variables that have HAProxy keep its files in a folder."""
    return {
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(folder / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(folder / "admin.sock"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(folder),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(folder / "server-state"),
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(folder / "metrics.sock"),
    }


def private_environment(folder: Path) -> dict[str, str]:
    """Environment in which Ray and HAProxy keep to `folder` and to ports of their own."""
    stats, metrics = free_ports(2)
    return {
        **{key: value for key, value in os.environ.items() if not key.startswith("RAY_")},
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "HOME": str(folder),
        "RAY_TMPDIR": str(folder),
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "0",
        # A machine busy with other tests may take long to start a proxy.
        "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "90",
        "RAY_worker_niceness": "0",
        # Half a minute of draining after each replaced replica is for production.
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "1",
        "RAY_SERVE_HAPROXY_STATS_PORT": str(stats),
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(metrics),
        **haproxy_files(folder / "haproxy"),
    }


def processes_of(folder: Path) -> list[psutil.Process]:
    """The processes that were started in `private_environment(folder)` and have not ended."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("RAY_TMPDIR") == str(folder) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def end_processes(folder: Path) -> None:
    """End all of them, by their ids."""
    for send in (psutil.Process.terminate, psutil.Process.kill):
        members = processes_of(folder)
        for process in members:
            with contextlib.suppress(psutil.NoSuchProcess):
                send(process)
        psutil.wait_procs(members, timeout=5)


def write_config(folder: Path, port: int, storage_path: Path) -> Path:
    """serve/config.yaml with a port and a storage path of its own, in a folder."""
    config = yaml.safe_load((ROOT / "serve" / "config.yaml").read_text())
    config["http_options"]["port"] = port
    config["applications"][0]["deployments"][0]["user_config"]["storage_path"] = str(storage_path)
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(config))
    return file


class ServeCluster:
    """One `ray start --head` with the service deployed from serve/config.yaml."""

    def __init__(self, folder: Path, storage_path: Path | str, *, proxy: str) -> None:
        self.folder, self.storage_path, self.proxy = folder, storage_path, proxy
        gcs, self.dashboard_port, self.http_port, agent, client = free_ports(5)
        self.url = f"http://127.0.0.1:{self.http_port}"
        self.environment = private_environment(folder)
        command = ["ray", "start", "--head", "--block", "--num-cpus=4", "--object-store-memory=100000000"]
        command += [f"--port={gcs}", f"--dashboard-port={self.dashboard_port}", "--dashboard-host=127.0.0.1"]
        command += [f"--dashboard-agent-listen-port={agent}", f"--ray-client-server-port={client}"]
        command += ["--min-worker-port=0", "--max-worker-port=0", "--disable-usage-stats"]
        self.log = (folder / "ray.log").open("wb")
        self.process = subprocess.Popen(command, cwd=folder, env=self.environment, stdout=self.log, stderr=self.log)

    @property
    def dashboard(self) -> str:
        return f"http://127.0.0.1:{self.dashboard_port}"

    def start(self) -> None:
        def answers() -> object:
            assert self.process.poll() is None, (self.folder / "ray.log").read_text()
            return get_json(f"{self.dashboard}/api/serve/applications/")

        wait_for(answers, "the start of Ray")

    def deploy(self, checkpoint: str = "best", *, wait: bool = True, args: dict | None = None, **changes: Any) -> None:
        """`serve deploy` of serve/config.yaml with this cluster's port, and the deployment's settings changed."""
        config = yaml.safe_load((ROOT / "serve" / "config.yaml").read_text())
        config["http_options"]["port"] = self.http_port
        if self.proxy == "python":
            del config["controller_options"]
        (application,) = config["applications"]
        application["args"] = args or {}
        (deployment,) = application["deployments"]
        deployment["user_config"] = {"checkpoint": checkpoint, "storage_path": str(self.storage_path)}
        for key, value in changes.items():
            if value is None:
                del deployment[key]
            else:
                deployment[key] = value
        file = self.folder / "config.yaml"
        file.write_text(yaml.safe_dump(config))
        command = ["serve", "deploy", "--address", self.dashboard, str(file)]
        before = self.deployed_at()
        done = subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=180)
        assert done.returncode == 0, done.stdout + done.stderr
        if wait:
            wait_for(lambda: self.deployed_at() != before and self.status() == "RUNNING", "the deployment", 180)

    def application(self) -> dict[str, Any]:
        details = get_json(f"{self.dashboard}/api/serve/applications/") or {}
        return details.get("applications", {}).get("digits", {})

    def deployed_at(self) -> float | None:
        return self.application().get("last_deployed_time_s")

    def status(self) -> str | None:
        return self.application().get("status")

    def replicas(self) -> list[dict[str, Any]]:
        """Replicas that run, with their process ids."""
        replicas = self.application().get("deployments", {}).get("DigitClassifier", {}).get("replicas", [])
        return [replica for replica in replicas if replica["state"] == "RUNNING"]

    def health(self) -> dict[str, Any]:
        return get_json(f"{self.url}/health") or {}

    def logs(self) -> str:
        """What the replicas and the controller wrote."""
        files = sorted(self.folder.glob("ray/session_latest/logs/serve/*.log"))
        return "\n".join(file.read_text(errors="replace") for file in files)

    def stop(self) -> None:
        end_processes(self.folder)
        self.process.wait(10)
        self.log.close()


@contextlib.contextmanager
def serving(storage_path: Path | str, proxy: str) -> Iterator[ServeCluster]:
    """A cluster with the service deployed, which leaves no process behind."""
    # Ray's sockets need a short path.
    with tempfile.TemporaryDirectory(prefix="dg-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        cluster = ServeCluster(Path(folder), storage_path, proxy=proxy)
        try:
            cluster.start()
            cluster.deploy()
            yield cluster
        finally:
            cluster.stop()
            assert processes_of(cluster.folder) == []
