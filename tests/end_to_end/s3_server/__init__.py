"""A real S3 server on loopback: moto's, in an environment of its own."""

import http.client
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.end_to_end.ports import free_ports

COMMAND = Path(__file__).resolve().parents[3] / ".venv-s3" / "bin" / "moto_server"
PATIENCE_S = 120.0


@contextmanager
def s3_server(log: Path) -> Iterator[str]:
    """An empty S3 server, which ends with the block; yields host:port."""
    (port,) = free_ports(1)
    with log.open("wb") as output:
        command = [COMMAND, "--host", "127.0.0.1", "--port", str(port)]
        server = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
        try:
            wait_until_it_answers(port, server, log)
            yield f"127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(30)


def wait_until_it_answers(port: int, server: subprocess.Popen, log: Path) -> None:
    end = time.monotonic() + PATIENCE_S
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/")
            connection.getresponse().read()
            return
        except OSError:
            assert server.poll() is None and time.monotonic() < end, log.read_text()
            time.sleep(0.2)
        finally:
            connection.close()
