"""Calls of Ray that take Ctrl-C for themselves, made so that it reaches the caller.

`fit` of Ray Train and of Ray Tune install handlers of SIGINT when they run in the main thread: Ray Train's ends the
process with exit code 1, Ray Tune's returns when all trials have ended. They install none in another thread.
"""

import threading
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


def call(function: Callable[[], Result]) -> Result:
    """What the function returns, or raise what it raises; KeyboardInterrupt leaves it at once, and it goes on alone."""
    results: list[Result] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(function())
        except BaseException as error:  # noqa: BLE001  raised where it was called
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]
