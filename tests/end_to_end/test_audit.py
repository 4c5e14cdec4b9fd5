"""The audit of CI, against a vulnerability service on loopback that answers as OSV does."""

import json
import os
import subprocess
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import distributions
from pathlib import Path
from threading import Thread
from typing import Any

from packaging.utils import canonicalize_name

from tests.end_to_end.ports import free_ports

ROOT = Path(__file__).resolve().parents[2]
VULNERABILITY = {
    "id": "PYSEC-2026-1",
    "summary": "A picture may run code.",
    "affected": [
        {
            "package": {"name": "pillow", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "999"}]}],
        }
    ],
}
Query = dict[str, Any]


@contextmanager
def service(answer: Callable[[Query], tuple[int, Query]]) -> Iterator[tuple[str, list[Query]]]:
    """A vulnerability service: its address, and the queries that it got."""
    queries: list[Query] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            queries.append(query)
            status, document = answer(query)
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1/query", queries
        finally:
            server.shutdown()


def audit(url: str, cache: Path) -> subprocess.CompletedProcess[str]:
    """Run the audit as CI does, against this service."""
    settings = {"PIP_AUDIT_VULNERABILITY_SERVICE": "osv", "PIP_AUDIT_OSV_URL": url, "XDG_CACHE_HOME": str(cache)}
    return subprocess.run(
        [ROOT / ".ci" / "audit"], env=os.environ | settings, capture_output=True, text=True, timeout=120, check=False
    )


def test_every_installed_version_is_looked_up(tmp_path: Path) -> None:
    with service(lambda query: (200, {})) as (url, queries):
        result = audit(url, tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "NOT AUDITED" not in result.stdout
    asked = {(query["package"]["name"], query["version"]) for query in queries}
    # Only what pip installed: Ray, once it is imported, adds packages of its own to the path.
    there = distributions(path=[sysconfig.get_path("purelib")])
    installed = {(canonicalize_name(one.metadata["Name"]), one.version) for one in there}
    assert {(name, version) for name, version in installed if name not in {"digits", "digits-mnist"}} <= asked


def test_a_known_vulnerability_fails(tmp_path: Path) -> None:
    with service(lambda query: (200, {"vulns": [VULNERABILITY]} if query["package"]["name"] == "pillow" else {})) as (
        url,
        _,
    ):
        result = audit(url, tmp_path)
    assert result.returncode == 1
    assert "PYSEC-2026-1" in result.stdout
    assert "pillow" in result.stdout


def test_a_service_that_fails_is_no_pass(tmp_path: Path) -> None:
    with service(lambda query: (500, {"error": "out of order"})) as (url, _):
        result = audit(url, tmp_path)
    assert result.returncode == 1
    assert "NOT AUDITED" not in result.stdout


def test_where_no_service_can_be_reached_that_is_said(tmp_path: Path) -> None:
    result = audit(f"http://127.0.0.1:{free_ports(1)[0]}/v1/query", tmp_path)
    assert result.returncode == 0
    assert result.stdout.strip().endswith("NOT AUDITED: no vulnerability service could be reached from here")
