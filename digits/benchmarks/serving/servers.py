"""Starts the servers that are measured: this project's service on Ray Serve, its API without Ray, and plain FastAPI."""

import contextlib
import http.client
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

from digits.benchmarks.measuring import (
    ROOT,
    Scope,
    free_port,
    process_tree,
    start_process,
    watch_memory,
)
from digits.errors import BenchmarkError
from digits.models.registry import SHIPPED

CHECKPOINT = str(SHIPPED)
"""What is served: of random weights, the networks that look at a picture would not agree, and refuse it."""
START_SECONDS = 180
"""How long a server may take until it answers."""


@dataclass(frozen=True, kw_only=True)
class Server:
    """A server that answers."""

    url: str
    pid: int
    """Process id of the process that was started."""
    start_s: float
    """Seconds from the start of its process to its first answer."""
    peak_bytes: Mapping[str, int]
    """Peak resident memory in bytes by process, while it runs."""


@contextlib.contextmanager
def plain_server(runtime: str) -> Iterator[Server]:
    """FastAPI on uvicorn with model.predict (keras) or ONNX Runtime (onnx)."""
    port = free_port()
    command = [sys.executable, "-m", "digits.benchmarks.sides.plain_server", runtime, str(port)]
    with serving([*command, CHECKPOINT], f"http://127.0.0.1:{port}", {}) as server:
        yield server


@contextlib.contextmanager
def bare_server(checkpoint: str, environment: Mapping[str, str] | None = None) -> Iterator[Server]:
    """This project's API on a plain uvicorn, in a process of its own."""
    port = free_port()
    command = [sys.executable, "-m", "digits.benchmarks.sides.bare_server", str(port), checkpoint]
    # One thread for each numerical call, as Ray gives a replica of one CPU.
    with serving(command, f"http://127.0.0.1:{port}", {"OMP_NUM_THREADS": "1", **(environment or {})}) as server:
        yield server


@contextlib.contextmanager
def ray_service(scope: Scope, num_replicas: int = 1) -> Iterator[Server]:
    """This project's service as serve/config.yaml describes it, on its own Ray, with a fixed number of replicas."""
    config = yaml.safe_load((ROOT / "serve" / "config.yaml").read_text())
    config["http_options"]["port"] = port = free_port()
    (application,) = config["applications"]
    (deployment,) = application["deployments"]
    deployment.pop("autoscaling_config", None)
    deployment["num_replicas"] = num_replicas
    deployment["user_config"] = {"checkpoint": CHECKPOINT, "storage_path": str(scope.folder)}
    # Ray's sockets need a short path, and nothing of this Ray is to outlive the folder.
    with tempfile.TemporaryDirectory(prefix="digits-") as folder:
        file = Path(folder) / "config.yaml"
        file.write_text(yaml.safe_dump(config))
        environment = {"RAY_TMPDIR": folder, "RAY_USAGE_STATS_ENABLED": "0", **haproxy_settings(Path(folder))}
        command = [str(Path(sys.executable).parent / "serve"), "run", str(file)]
        with serving(command, f"http://127.0.0.1:{port}", environment) as server:
            yield server


def haproxy_settings(folder: Path) -> dict[str, str]:
    """Settings that give this Ray its own files and ports for HAProxy, which otherwise have fixed places."""
    return {
        "RAY_SERVE_HAPROXY_STATS_PORT": str(free_port()),
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(free_port()),
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(folder / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(folder / "admin.sock"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(folder),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(folder / "server-state"),
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(folder / "metrics.sock"),
    }


@contextlib.contextmanager
def serving(command: list[str], url: str, environment: Mapping[str, str]) -> Iterator[Server]:
    """A server that runs while the block does; BenchmarkError where it never answers."""
    with tempfile.TemporaryFile("w+") as log:
        start = time.perf_counter()
        process = start_process(command, environment, stdout=log, stderr=log, text=True)
        try:
            while not answers(f"{url}/health"):
                if process.poll() is not None or time.perf_counter() - start > START_SECONDS:
                    log.seek(0)
                    raise BenchmarkError(
                        f"{' '.join(command[1:4])} did not answer at {url}",
                        f"an answer within {START_SECONDS} s",
                        f"mend what it says: {log.read()[-2000:]}",
                    )
                time.sleep(0.1)
            with watch_memory(process.pid, interval=1.0) as peak_bytes:
                yield Server(url=url, pid=process.pid, start_s=time.perf_counter() - start, peak_bytes=peak_bytes)
        finally:
            end(process)


def answers(url: str) -> bool:
    """Whether a GET of this URL is answered with 200."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except (OSError, http.client.HTTPException):
        return False


def end(process: subprocess.Popen[Any]) -> None:
    """End a process and all that it started."""
    tree = process_tree(process.pid)
    process.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(15)
    for member in tree:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()  # psutil makes sure that it is the same process, and not a later one with its id
    process.wait()
