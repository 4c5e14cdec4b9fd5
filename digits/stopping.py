"""How Ctrl-C and SIGTERM end a job: one line that says what was reached, then the end, with exit code 130.

The line comes within two seconds, since `ray job stop` waits for three before it kills. A thread hears the signals
(`signal.set_wakeup_fd`): the main thread may be inside a library that looks for them late, or takes them for itself,
as Ray does. What a job then has to do, it does where KeyboardInterrupt reaches it; a second signal, or ten seconds,
end it at once. The processes of a cluster that the job started end with it, and a cluster that it was submitted to
ends the job's processes when their connection closes.
"""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

import psutil

STOPPED = 130
"""Exit code of a job that was told to end: 128 + SIGINT, as a shell has it."""
SIGNALS = (signal.SIGINT, signal.SIGTERM)
SAME_S = 0.3
"""Signals so close together are one request: to a process and its group, say, as `timeout` sends them. In seconds."""
LINE_AFTER_S = 1.0
"""When the thread says what was reached, if the job did not. In seconds."""
BAR_AWAY = "\r\x1b[2K\x1b[?25h"
"""Clears the line of a progress bar that may still be on the terminal, and shows the cursor again."""
END_AFTER_S = 10.0
"""When the thread ends the job, if the job did not. In seconds."""


class Stopping:
    """The one job of this process, as far as signals are concerned."""

    def __init__(self) -> None:
        self.listening = False
        """Whether `listen` was called: else signals are left to whoever runs this code, a test say."""
        self.began = False
        self.ended = False
        self.requested = threading.Event()
        self.reached: Callable[[], str] = lambda: "before there was a result"
        self.raised = False
        self.telling = threading.Lock()
        self.told = False

    def raise_interrupt(self, signum: int, frame: FrameType | None) -> None:
        """What the main thread does on the first signal; the second one is the thread's."""
        if self.began and not self.ended and not self.raised:
            self.raised = True
            raise KeyboardInterrupt

    def hear(self, signals: int) -> None:
        """Read the numbers of signals from a pipe as they arrive, until the process ends."""
        first: float | None = None
        while True:
            (number,) = os.read(signals, 1)
            now = time.monotonic()
            if number not in SIGNALS or (first is not None and now - first < SAME_S):
                continue
            if first is not None or not self.began:
                self.tell()
                exit_with_children()
            first = now
            if not self.ended:
                self.requested.set()
                threading.Thread(target=self.see_to_the_end, daemon=True).start()

    def see_to_the_end(self) -> None:
        """Tell and end where the job does neither in time."""
        time.sleep(LINE_AFTER_S)
        self.tell()
        time.sleep(END_AFTER_S - LINE_AFTER_S)
        exit_with_children()

    def tell(self) -> None:
        """Say on stderr, once, what was reached."""
        with self.telling:
            if not self.told:
                self.told = True
                reached = self.reached() if self.began else "before anything was begun"
                with contextlib.suppress(OSError):  # whoever read it may have been stopped as well
                    os.write(2, f"{BAR_AWAY if os.isatty(2) else ''}stopped by Ctrl-C or SIGTERM {reached}\n".encode())


_job = Stopping()


def listen() -> None:
    """Hear Ctrl-C and SIGTERM from here on. The first thing that a job does: its imports take seconds."""
    heard, signals = os.pipe()
    os.set_blocking(signals, False)
    signal.set_wakeup_fd(signals, warn_on_full_buffer=False)
    _job.listening = True
    threading.Thread(target=_job.hear, args=(heard,), daemon=True).start()
    restore()


def restore() -> None:
    """Take the signals back from a library that took them; Ray does so when it starts."""
    if _job.listening:
        for number in SIGNALS:
            signal.signal(number, _job.raise_interrupt)


def begin() -> None:
    """From here on the main thread gets KeyboardInterrupt; before, the process just ends."""
    _job.began = True


def finish() -> None:
    """The job has its result: the first signal changes nothing any more."""
    _job.ended = True


def reached(words: Callable[[], str]) -> None:
    """Set what is said of a job that is stopped, such as "after 3 of 10 epochs"; it is called in any thread."""
    _job.reached = words


def tell() -> None:
    """Say on stderr that the job was stopped and what it had reached, if that was not said yet."""
    _job.tell()


def requested(*, patience_s: float = 0.0) -> bool:
    """Whether a signal asked the job to end; whatever is raised from then on is a consequence of it.

    The thread that hears signals may be later than what another handler raised: it gets `patience_s` seconds.
    """
    return _job.requested.wait(patience_s)


def end() -> NoReturn:
    """End this process now, and all that it started, with the exit code of a stopped job; no thread is waited for."""
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    if not _job.listening:
        sys.exit(STOPPED)
    exit_with_children()


def exit_with_children() -> NoReturn:
    """Kill all processes below this one, Ray's among them, and exit."""
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it ended meanwhile, or is another user's
            child.kill()
    os._exit(STOPPED)
