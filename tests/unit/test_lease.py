"""A run's folder has one job at a time, and none is kept out by a job that was killed."""

import json
import subprocess
import sys
import threading
import time

import pytest

from digits import lease
from digits.errors import ConfigurationError
from digits.lease import FILE, Lease
from digits.storage import Storage

HOLDER = """
import sys, time
from digits.lease import Lease
from digits.storage import Storage
with Lease(Storage.open(sys.argv[1]), tell=print):
    print("held", flush=True)
    time.sleep(100)
"""


@pytest.fixture
def folder(tmp_path):
    return Storage.open(tmp_path) / "run"


def elsewhere(folder, **changes):
    """A lease as a job on another machine writes it."""
    content = {"job": "other", "renewals": 0, "host": "far", "machine": "m", "pid": 7, "started": 1, **changes}
    (folder / FILE).write_bytes(json.dumps(content).encode())


def quick(folder, tell=print):
    return Lease(folder, tell=tell, renewed_s=0.05, patience_s=0.5)


def test_a_lease_is_held_inside_its_block_and_leaves_nothing(folder):
    with quick(folder) as held:
        assert (folder / FILE).exists()
        deadline = time.monotonic() + 30
        while json.loads((folder / FILE).read_bytes())["renewals"] < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        held.check()
        assert all(thread.daemon for thread in threading.enumerate() if "renew" in thread.name), "none outlives its job"
    assert not (folder / FILE).exists()
    assert not held.lost.wait(0.3), "what is given back is not renewed, so it cannot be found lost"
    with quick(folder):
        pass


def test_a_second_job_of_this_machine_is_refused_at_once_and_goes_in_after_a_kill(folder):
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(folder)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    begun, said = time.monotonic(), []
    second = Lease(folder, tell=said.append, patience_s=100)
    for refused in (second.require_free, second.__enter__):
        with pytest.raises(ConfigurationError, match=f"process {holder.pid}"):
            refused()
    assert not said, "nobody waits"
    holder.kill()
    holder.stdout.close()
    time.sleep(0.2)
    with second:  # also while nobody has asked how the killed one ended
        pass
    holder.wait()
    assert time.monotonic() - begun < 50


def test_a_lease_from_elsewhere_is_watched_taken_over_when_it_stands_still_and_respected_when_it_is_renewed(
    folder, monkeypatch
):
    said = []
    elsewhere(folder)
    with quick(folder, tell=said.append) as held:
        assert held.is_held()
    assert len(said) == 1 and "run was in use a moment ago" in said[0]

    elsewhere(folder)
    pauses = []
    monkeypatch.setattr(lease.time, "sleep", lambda seconds: pauses.append(seconds) or elsewhere(folder, renewals=1))
    with pytest.raises(ConfigurationError, match=r"in use: a job on far \(process 7\)"):
        Lease(folder, tell=said.append).require_free()
    assert pauses == [0.5], "it is looked at twice a second"
    assert json.loads((folder / FILE).read_bytes())["job"] == "other"

    monkeypatch.setattr(lease.time, "sleep", lambda seconds: (folder / FILE).delete())
    quick(folder).require_free()


def test_of_two_that_came_at_once_the_one_that_was_overwritten_learns_it_and_leaves_the_other_alone(folder):
    with quick(folder) as held:
        elsewhere(folder)
        assert held.lost.wait(10)
        with pytest.raises(ConfigurationError, match="a job on far"):
            held.check()
    assert json.loads((folder / FILE).read_bytes())["job"] == "other"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"nothing"])
def test_a_file_that_is_no_lease_keeps_nobody_out(folder, content):
    (folder / FILE).write_bytes(content)
    with quick(folder) as held:
        assert held.is_held()


def test_a_process_that_has_the_number_of_one_that_ended_is_another(folder):
    mine = lease.this_process()
    assert not lease.has_ended(mine)
    assert lease.has_ended({**mine, "started": mine["started"] - 1})
    assert not lease.has_ended({**mine, "machine": "another", "started": 0})
    assert not lease.is_of_this_machine({"machine": None})
    assert not lease.has_ended({"machine": mine["machine"]}), "it names no process that could have ended"


def test_a_lease_is_renewed_often_enough_for_those_who_watch_it(folder):
    held = Lease(folder, tell=print)
    assert (held.renewed_s, held.patience_s) == (3, 12)
    assert held.patience_s >= 4 * held.renewed_s
