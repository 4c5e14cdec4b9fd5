"""Calls that are left at once when what runs beside them fails."""

import threading
from concurrent.futures import Future

import pytest

from digits import interruptible

PATIENCE_S = 30


def test_the_result_and_the_error_of_a_call_reach_the_caller():
    beside = Future()
    assert interruptible.call(lambda: 7) == interruptible.call(lambda: 7, beside=beside) == 7
    for more in ({}, {"beside": beside}):
        with pytest.raises(ZeroDivisionError):
            interruptible.call(lambda: 1 / 0, **more)


def test_an_error_beside_a_call_ends_it_at_once():
    over, beside = threading.Event(), Future()
    threading.Timer(0.1, beside.set_exception, [BrokenPipeError("nobody reads")]).start()
    with pytest.raises(BrokenPipeError, match="nobody reads"):
        interruptible.call(lambda: over.wait(PATIENCE_S) or pytest.fail("it was waited for"), beside=beside)
    over.set()


def test_all_calls_are_made_at_the_same_time_and_the_first_error_is_raised_at_once():
    both = threading.Barrier(2)
    assert sorted(interruptible.call_all([lambda: both.wait(PATIENCE_S)] * 2, beside=Future())) == [0, 1]
    over = threading.Event()
    with pytest.raises(ZeroDivisionError):
        interruptible.call_all([lambda: over.wait(PATIENCE_S) or pytest.fail("it was waited for"), lambda: 1 / 0])
    over.set()


def test_what_ends_well_beside_a_call_does_not_end_it():
    over, beside = threading.Event(), Future()
    beside.set_result(None)
    threading.Timer(0.2, over.set).start()
    assert interruptible.call(lambda: over.wait(PATIENCE_S), beside=beside) is True


def test_a_watched_function_tells_its_first_error_to_the_watcher_and_not_to_who_calls_it():
    seen = []

    def show(number):
        seen.append(number)
        if number == 2:
            raise KeyError(number)

    watch, failed = interruptible.watched(show)
    watch(1)
    assert not failed.done()
    watch(2)
    watch(3)
    assert seen == [1, 2]
    with pytest.raises(KeyError):
        failed.result()
