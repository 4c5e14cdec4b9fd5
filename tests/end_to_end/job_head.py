"""A cluster of one node that jobs are submitted to."""

import os
import subprocess
import sys
from pathlib import Path

from tests.end_to_end.faults import PATIENCE_S, ROOT
from tests.end_to_end.ports import free_ports
from tests.end_to_end.serve_cluster import end_processes

RAY = str(Path(sys.executable).parent / "ray")


class Head:
    """A cluster of one node that jobs are submitted to, with its token, in a home of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
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
            timeout=PATIENCE_S,
        )

    def submit(self, *arguments, flags=(), **env):
        return self.ray("job", "submit", "--working-dir", ".", *flags, "--", *arguments, **env)

    def stop(self) -> None:
        """End all of its processes; told to end by itself, `ray start` may take half a minute."""
        end_processes(self.folder)
        self.process.wait(60)
