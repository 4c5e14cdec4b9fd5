"""What breaks things on purpose: kills and freezes workers, takes nodes away, fills disks; measures the recovery."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 300.0
"""How long anything is waited for, at most: many times what it takes on a quiet machine."""


def command_of(process: psutil.Process) -> str:
    """The command line of a process; nothing where it has ended."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def below(pid: int | None, *, recursive: bool = True) -> dict[int, str]:
    """Command lines of the processes that one started, by their ids; of those that they started too, if recursive."""
    try:
        children = psutil.Process(pid).children(recursive=recursive) if pid is not None else []
    except psutil.NoSuchProcess:
        return {}
    return {child.pid: command_of(child) for child in children}


def training_workers(raylet: int | None) -> list[int]:
    """Ids of the Ray Train workers that a raylet, given by its process id, runs; none for no raylet."""
    return [pid for pid, command in below(raylet, recursive=False).items() if "RayTrainWorker" in command]


class Fault:
    """Injects a fault once, at some moment of training, and measures how long the next finished epoch takes to come.

    It is what `training.train` calls with its events. Where workers start anew, epochs count from then on: events
    from before the fault may still have been on their way.
    """

    def __init__(self, inject: Callable[[], Any], *, epoch: int, fraction: float = 0.0) -> None:
        self.inject, self.epoch, self.fraction = inject, epoch, fraction
        self.events: list[dict[str, Any]] = []
        self.injected: float | None = None
        self.recovery_s: float | None = None
        self.resumed = False

    def __call__(self, event: dict[str, Any]) -> None:
        self.events.append(event)
        match event:
            case {"event": "progress", "epoch": epoch, "fraction": fraction} if self.injected is None:
                if epoch >= self.epoch and fraction >= self.fraction:
                    self.inject()
                    self.injected = time.perf_counter()
            case {"event": "resumed"} if self.injected is not None and not self.resumed:
                self.resumed, self.recovery_s = True, None
            case {"event": "epoch"} if self.injected is not None and self.recovery_s is None:
                self.recovery_s = time.perf_counter() - self.injected

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        """The events of one kind."""
        return [event for event in self.events if event["event"] == kind]


def freeze(pid: int, seconds: float) -> None:
    """Stop a process for some time; it goes on by itself afterwards, unless it was ended meanwhile."""

    def wake() -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    os.kill(pid, signal.SIGSTOP)
    threading.Timer(seconds, wake).start()


def report_recovery(fault: str, seconds: float) -> None:
    """Print a measured recovery time; `pytest -rP` or -s shows it."""
    print(f"recovery | {fault}: {seconds:.1f} s")


class Job:
    """A job in a process and a group of its own, as a shell starts it, whose lines can be waited for.

    `before` are words before its command line, `cwd` is the folder it is started in.
    """

    def __init__(
        self,
        *arguments: str | Path,
        env: dict[str, str] | None = None,
        before: Sequence[str] = (),
        cwd: Path = ROOT,
    ) -> None:
        self.process = subprocess.Popen(
            [*before, sys.executable, *map(str, arguments)],
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.lines: list[str] = []
        self.arrived = threading.Condition()
        self.ended = False
        threading.Thread(target=self.read, daemon=True).start()

    def read(self) -> None:
        for line in self.process.stdout:
            with self.arrived:
                self.lines.append(line.rstrip())
                self.arrived.notify_all()
        with self.arrived:
            self.ended = True
            self.arrived.notify_all()

    def wait_for(self, text: str, *, after: int = 0) -> str:
        """The first line that contains a text, after so many; fails where the job ends or takes too long without it."""

        def found() -> str | None:
            return next((line for line in self.lines[after:] if text in line), None)

        with self.arrived:
            self.arrived.wait_for(lambda: found() or self.ended, PATIENCE_S)
            line = found()
        assert line, f"no {text!r} after {PATIENCE_S} s or at the end:\n" + "\n".join(self.lines)
        return line

    def stop(self, number: signal.Signals, *, group: bool = False) -> float:
        """Send a signal to the job, or to its group as a terminal does; returns when, by time.monotonic."""
        sent = time.monotonic()
        os.killpg(self.process.pid, number) if group else self.process.send_signal(number)
        return sent

    def wait(self) -> int:
        """The job's exit code, once it has ended."""
        code = self.process.wait(PATIENCE_S)
        with self.arrived:
            self.arrived.wait_for(lambda: self.ended, 10)
        return code

    @property
    def output(self) -> str:
        """All that it printed so far."""
        return "\n".join(self.lines)


@contextmanager
def small_disk(folder: Path, size: str, *, read_only: bool = False) -> Iterator[Path]:
    """A file system in memory, mounted at a folder: small, or not to be written to. Needs root."""
    folder.mkdir(exist_ok=True)
    options = f"size={size}" + (",ro" if read_only else "")
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
