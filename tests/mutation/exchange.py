"""Exchanges the functions of a module that is imported already, so that its tests need not be collected again.

A plugin of pytest: the tests are collected once, and each mutant runs in a fork those that call what it changes, or
all, these first, where what it changes may have been called for several. What a module does while it is imported cannot
be exchanged.
"""

import ast
import functools
import gc
import inspect
import json
import os
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from types import CodeType, FrameType, FunctionType

import pytest

from tests.mutation.forks import in_fork
from tests.mutation.mutants import Mutant

Key = tuple[str, int]
"""Of a function: its qualified name and first line."""
UNKNOWN = 98
"""Exit code of a fork in which a function could not be exchanged."""
COLLECTION, PREPARATION = "collection", "preparation"
"""Stand for a test's name while tests are collected, and while what one or several of them need is prepared."""


def key_of(code: CodeType) -> Key:
    return code.co_qualname, code.co_firstlineno


def codes_in(code: CodeType) -> Iterator[CodeType]:
    """A code object and all inside it."""
    yield code
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from codes_in(inner)


def own_part(code: CodeType) -> CodeType:
    """A code object without those inside it."""
    return code.replace(co_consts=tuple(one for one in code.co_consts if not isinstance(one, CodeType)))


def compiled(tree: ast.Module, file: Path) -> CodeType:
    return compile(tree, str(file), "exec")


def called_once(file: Path) -> set[Key]:
    """All functions of a file, where it keeps what one of them gave: it is called for several tests then."""
    functions = [one for one in gc.get_objects() if isinstance(one, FunctionType)]
    own = {key_of(one.__code__) for one in functions if one.__code__.co_filename == str(file)}
    kept = [one.__wrapped__ for one in gc.get_objects() if isinstance(one, functools._lru_cache_wrapper)]
    return own if any(one.__code__.co_filename == str(file) for one in kept if isinstance(one, FunctionType)) else set()


class Exchange:
    """What a mutant changes of a module's functions."""

    def __init__(self, original: ast.Module, changed: ast.Module, file: Path) -> None:
        self.file = str(file)
        originals, codes = (list(codes_in(compiled(tree, file))) for tree in (original, changed))
        before = {key_of(code): own_part(code) for code in originals}
        self.codes = {key_of(code): code for code in codes}
        self.unique = len(before) == len(originals) and len(self.codes) == len(codes)
        self.changed = {key for key, code in self.codes.items() if own_part(code) != before.get(key)}

    def is_complete(self, called_on_import: set[Key]) -> bool:
        """Whether nothing is changed but functions, and none that was called while the tests were collected."""
        functions = all(self.codes[key].co_flags & inspect.CO_OPTIMIZED for key in self.changed)
        return self.unique and bool(self.changed) and functions and not self.changed & called_on_import

    def make(self) -> None:
        """Exchange the code of every function of the module."""
        for one in gc.get_objects():
            if isinstance(one, FunctionType) and one.__code__.co_filename == self.file:
                one.__code__ = self.codes[key_of(one.__code__)]


class Calls:
    """Notes which functions of a file each test calls; it is what Python tells of each call."""

    def __init__(self, file: Path) -> None:
        self.file, self.running = str(file), COLLECTION
        self.of: dict[str, set[Key]] = defaultdict(set)

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        if frame.f_code.co_filename == self.file:
            self.of[self.running].add(key_of(frame.f_code))

    def watch(self) -> None:
        sys.settrace(self)
        threading.settrace(self)


class Exchanging:
    """The plugin: tries mutants and tells, of those it can judge, whether they survive."""

    def __init__(
        self,
        file: Path,
        mutants: Sequence[Mutant],
        tell: Callable[[Mutant, bool], None],
        limit_of: Callable[[float], float],
    ) -> None:
        self.file, self.mutants, self.tell, self.limit_of = file, mutants, tell, limit_of
        self.calls = Calls(file)
        self.calls.watch()

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Instead of running the tests once, run them for every mutant."""
        sys.settrace(None)
        threading.settrace(None)  # type: ignore[arg-type]  # as its documentation says
        original = ast.parse(self.file.read_text())
        called, taken_s = self.run_unchanged(session)
        of_file: dict[Path, float] = defaultdict(float)
        for item in session.items:
            of_file[item.path] += taken_s[item.nodeid]
        # Files stay together, since their tests share what they prepare; what is quick comes first.
        quickest = sorted(session.items, key=lambda item: (of_file[item.path], taken_s[item.nodeid]))
        shared = called.get(PREPARATION, set()) | called_once(self.file)
        limits_s = {name: self.limit_of(seconds) for name, seconds in taken_s.items()}
        for mutant in self.mutants:
            exchange = Exchange(original, mutant.tree, self.file)
            callers = [item for item in quickest if called.get(item.nodeid, set()) & exchange.changed]
            others = [item for item in quickest if item not in callers] if exchange.changed & shared else []
            complete = exchange.is_complete(called.get(COLLECTION, set()))
            if not exchange.unique or not (complete or callers):
                continue
            work = functools.partial(run_exchanged, session, [*callers, *others], exchange, limits_s)
            failed = in_fork(work, sum(limits_s.values()))
            if failed != UNKNOWN and (complete or failed != 0):
                self.tell(mutant, failed == 0)
        return True

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Tell what a test calls itself from what is prepared for it, and perhaps for others."""
        self.calls.running = item.nodeid
        try:
            return (yield)
        finally:
            self.calls.running = PREPARATION

    def run_unchanged(self, session: pytest.Session) -> tuple[dict[str, set[Key]], dict[str, float]]:
        """Which functions each test calls, and its seconds."""
        noted = Path(str(session.config.option.basetemp) + ".json")

        def work() -> int:
            self.calls.running = PREPARATION
            self.calls.watch()
            taken_s = {}
            for item, following in zip(session.items, [*session.items[1:], None], strict=True):
                started = time.monotonic()
                run(item, following)
                taken_s[item.nodeid] = time.monotonic() - started
            called = {name: sorted(keys) for name, keys in self.calls.of.items()}
            noted.write_text(json.dumps([called, taken_s]))
            return min(session.testsfailed, 1)

        assert in_fork(work, 1200) == 0, "the tests fail unchanged"
        called, taken_s = json.loads(noted.read_text())
        return {name: {(qualified, line) for qualified, line in keys} for name, keys in called.items()}, taken_s


def run_exchanged(
    session: pytest.Session, items: Sequence[pytest.Item], exchange: Exchange, limits_s: dict[str, float]
) -> int:
    """Run tests with exchanged functions until one fails: 0 if all passed, UNKNOWN if they cannot be exchanged.

    A test that takes longer than its limit ends this process.
    """
    try:
        exchange.make()
    except (KeyError, ValueError):
        return UNKNOWN
    for item, following in zip(items, [*items[1:], None], strict=True):
        clock = threading.Timer(limits_s[item.nodeid], os._exit, [1])
        clock.start()
        run(item, following)
        clock.cancel()
        if session.testsfailed:
            return 1
    return 0


def run(item: pytest.Item, following: pytest.Item | None) -> None:
    """Run one test; what the following one needs, too, stays prepared."""
    item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
