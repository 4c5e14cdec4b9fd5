"""Other Rays of the machine: started beside a job as people start them, and ended by their own process ids."""

import contextlib
import http.server
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.end_to_end.faults import Job, processes
from tests.end_to_end.ports import free_ports

BIN = Path(sys.executable).parent
IN_A_PROCESS = "import ray, time; ray.init(address='local', num_cpus=1); print('up', flush=True); time.sleep(1000)"
"""Whoever uses Ray in a program of their own; its dashboard takes 127.0.0.1:8265 where that is free."""


def of_a_process(env: dict[str, str]) -> tuple[Job, str]:
    """A program that starts a Ray for itself; with it, what it prints when that is up."""
    return Job("-c", IN_A_PROCESS, env=env), "up"


def of_ray_start(env: dict[str, str], *flags: str | int) -> tuple[Job, str]:
    """`ray start`, which others connect to; also without RAY_ADDRESS, as it notes its address on the machine."""
    client, agent, dashboard = free_ports(3)
    ports = ["--port=0", f"--ray-client-server-port={client}", f"--dashboard-agent-listen-port={agent}"]
    if "--dashboard-port" not in flags:
        ports.append(f"--dashboard-port={dashboard}")
    return Job(BIN / "ray", "start", "--head", "--block", "--num-cpus=1", *ports, *flags, env=env), "will now block"


def end(job: Job, number: signal.Signals) -> None:
    """End a job by a signal, and by SIGKILL what is left of the processes that it started."""
    family = descendants(job.process.pid)
    job.process.send_signal(number)
    job.wait()
    for pid in family:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def descendants(root: int) -> set[int]:
    """Ids of all processes below one."""
    everything, found = list(processes()), {root}
    while more := {pid for pid, parent, _ in everything if parent in found} - found:
        found |= more
    return found - {root}


class StrangerToAll(http.server.BaseHTTPRequestHandler):
    """What a state API answers that knows nothing of what it is asked about."""

    def do_GET(self) -> None:
        """Answer that there is nothing of the kind."""
        nothing = {
            "total": 0,
            "num_after_truncation": 0,
            "num_filtered": 0,
            "result": [],
            "partial_failure_warning": "",
        }
        body = json.dumps({"result": True, "msg": "", "data": {"result": nothing}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def dashboard_of_another(port: int = 8265) -> Iterator[None]:
    """Something on a port, the usual one of Ray's dashboard, that knows no actor; what is there already will do."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            server = stack.enter_context(http.server.ThreadingHTTPServer(("127.0.0.1", port), StrangerToAll))
            threading.Thread(target=server.serve_forever, daemon=True).start()
            stack.callback(server.shutdown)
        yield
