"""One job at a time in a folder of a storage: its job holds a lease there, a small file that it renews.

Whoever finds a lease that is renewed no more takes it over: a job that was killed holds nothing. On one machine that is
seen at once, elsewhere after a moment of watching, so no clocks are compared, and a bucket will do. Two jobs that come
at the same moment may both believe to hold it; the one whose lease was overwritten learns it at the next renewal.
"""

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from digits.errors import ConfigurationError
from digits.storage import Storage

FILE = "job.json"
RENEWED_S = 3.0
"""How often a lease is renewed, in seconds."""
PATIENCE_S = 12.0
"""A lease that is not renewed for so long is held by nobody any more, in seconds."""


class Lease:
    """The lease on a folder: held inside a `with` block, and given back at its end; `tell` shows a line."""

    def __init__(
        self,
        folder: Storage,
        *,
        tell: Callable[[str], None],
        renewed_s: float = RENEWED_S,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self.folder, self.tell = folder, tell
        self.renewed_s, self.patience_s = renewed_s, patience_s
        self.content: dict[str, Any] = {"job": uuid.uuid4().hex, "renewals": 0, **this_process()}
        self.lost, self.over = threading.Event(), threading.Event()

    def require_free(self) -> None:
        """Raise ConfigurationError where another job holds the lease; that takes `patience_s` at most."""
        found = self.read()
        if found is None or has_ended(found):
            return
        if is_of_this_machine(found):
            raise self.in_use(found)
        self.tell(
            f"{self.folder.name} was in use a moment ago: waiting up to {self.patience_s:g} s whether it still is"
        )
        deadline = time.monotonic() + self.patience_s
        while time.monotonic() < deadline:
            time.sleep(min(0.5, self.patience_s))
            if (now := self.read()) is None:
                return
            if now != found:
                raise self.in_use(now)

    def check(self) -> None:
        """Raise ConfigurationError where another job has taken over since."""
        if self.lost.is_set():
            raise self.in_use(self.read() or self.content)

    def __enter__(self) -> Self:
        self.require_free()
        self.write()
        threading.Thread(target=self.renew, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.over.set()
        with contextlib.suppress(OSError):  # a lease that stays is one of a job that has ended
            if self.is_held():
                (self.folder / FILE).delete()

    def renew(self) -> None:
        """Renew the lease until it is given back or lost."""
        while not self.over.wait(self.renewed_s):
            with contextlib.suppress(OSError):  # a storage that fails for a moment: the next time
                if not self.is_held():
                    self.lost.set()
                    return
                self.content["renewals"] += 1
                self.write()

    def is_held(self) -> bool:
        """Whether the file is still that of this job."""
        return (self.read() or {}).get("job") == self.content["job"]

    def write(self) -> None:
        """Put this job's lease into the folder."""
        (self.folder / FILE).write_bytes(json.dumps(self.content).encode())

    def read(self) -> dict[str, Any] | None:
        """The lease that lies in the folder; None where there is none, or one that nobody wrote to its end."""
        file = self.folder / FILE
        if not file.exists():
            return None
        try:
            content = json.loads(file.read_bytes())
        except (FileNotFoundError, ValueError):
            return None
        return content if isinstance(content, dict) else None

    def in_use(self, found: dict[str, Any]) -> ConfigurationError:
        """What is raised where another job is at work."""
        return ConfigurationError(
            f"{self.folder} is in use: a job on {found.get('host')} (process {found.get('pid')}) works there",
            "one job at a time in a run's folder",
            "wait until it has ended or stop it, or start a run of another name",
        )


def this_process() -> dict[str, Any]:
    """What names this process among all processes of all machines."""
    return {"host": socket.gethostname(), "machine": machine(), "pid": os.getpid(), "started": started(os.getpid())}


def machine() -> str | None:
    """This start of this machine, and the namespace in which its processes are numbered; None where neither is told."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return None


def started(pid: int) -> int | None:
    """When a process of this machine started, in ticks since the machine did; None where it does not run."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def is_of_this_machine(lease: dict[str, Any]) -> bool:
    """Whether the process that holds a lease would be seen from here."""
    return lease.get("machine") is not None and lease.get("machine") == machine()


def has_ended(lease: dict[str, Any]) -> bool:
    """Whether it is seen from here that the process that held a lease runs no more."""
    return is_of_this_machine(lease) and started(int(lease.get("pid", 0))) != lease.get("started")
