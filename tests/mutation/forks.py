"""Work that is done in a fork of this process, with a limit of time."""

import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

BROKEN = 99
"""Exit code of a fork whose work raised an error."""


def in_fork(work: Callable[[], int], limit_s: float) -> int | None:
    """What the work returns, 0 to 98, done in silence in a fork; None where it takes longer and is killed."""
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        with contextlib.suppress(BaseException), Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), 1)
            os.dup2(nowhere.fileno(), 2)
            os._exit(work())
        os._exit(BROKEN)
    deadline = time.monotonic() + limit_s
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return None
        time.sleep(0.02)
