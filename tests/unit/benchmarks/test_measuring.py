"""Memory is that of a process and of all that it started, by what they call themselves."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from digits.benchmarks.measuring import memory_of_tree, process_tree

PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "block = bytearray(80_000_000); print(1, flush=True); input()"],
                         stdin=subprocess.PIPE)
child.wait()
"""


@pytest.fixture
def family():
    """A process, and a child of it that holds 80 MB."""
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE)
    assert parent.stdout.readline() == b"1\n"
    yield parent
    for process in process_tree(parent.pid):
        process.kill()
    parent.wait()


def test_a_process_and_what_it_started_are_measured_each_under_its_name(family):
    peaks = dict(memory_of_tree(family.pid))
    assert set(peaks) == {"main", Path(sys.executable).name}
    assert 80e6 < peaks[Path(sys.executable).name] < 200e6
    assert peaks["main"] < 60e6


def test_what_has_ended_is_no_process_any_more(family):
    (parent, child) = process_tree(family.pid)
    child.kill()
    psutil.wait_procs([child], timeout=10)
    family.wait(10)
    assert process_tree(family.pid) == [] == memory_of_tree(parent.pid)
