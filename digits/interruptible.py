"""Calls of Ray that take Ctrl-C for themselves, made so that it reaches the caller.

`fit` of Ray Train and of Ray Tune install handlers of SIGINT when they run in the main thread: Ray Train's ends the
process with exit code 1, Ray Tune's returns when all trials have ended. They install none in another thread.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any, TypeVar

Result = TypeVar("Result")
Argument = TypeVar("Argument")


def call(function: Callable[[], Result], *, beside: Future[None] | None = None) -> Result:
    """What the function returns, or raise what it raises; KeyboardInterrupt leaves it at once, and it goes on alone.

    So does an error of what runs `beside` it, which is raised here.
    """
    (result,) = call_all([function], beside=beside)
    return result


def call_all(functions: Sequence[Callable[[], Result]], *, beside: Future[None] | None = None) -> list[Result]:
    """What the functions return, all called at the same time; the first error is raised at once, as `call` does it."""
    results = [begin(function) for function in functions]
    waiting: set[Future[Any]] = {*results, *([beside] if beside else [])}
    while not all(result.done() for result in results):
        done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
        for each in done:
            each.result()
    return [result.result() for result in results]


def begin(function: Callable[[], Result]) -> Future[Result]:
    """Call the function in a thread that the end of the process does not wait for."""
    done: Future[Result] = Future()

    def run() -> None:
        try:
            done.set_result(function())
        except BaseException as error:  # noqa: BLE001  raised where it was called
            done.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return done


def watched(function: Callable[[Argument], None]) -> tuple[Callable[[Argument], None], Future[None]]:
    """The function for others to call, who may keep what it raises to themselves; that is told `beside` them.

    It is not called again once it has raised something.
    """
    failed: Future[None] = Future()

    def watch(argument: Argument) -> None:
        if failed.done():
            return
        try:
            function(argument)
        except BaseException as error:  # noqa: BLE001  raised by `call`
            failed.set_exception(error)

    return watch, failed
