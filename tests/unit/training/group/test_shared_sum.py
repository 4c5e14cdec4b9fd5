"""Sums by shared memory: the same for all workers, whatever their pace; one that ends is told of, and nothing stays."""

import json
import multiprocessing
import os
import signal
import time

import numpy as np
import pytest

from digits.errors import TrainingError
from digits.training.group import shared_sum
from digits.training.group.shared_sum import SharedSum, can_share, name_of_group

WORLD = 3
SPAWN = multiprocessing.get_context("spawn")


def numbers_of(rank, call, size):
    return np.random.default_rng((rank, call)).normal(0, 10.0**call, size).astype(np.float32)


def work(name, rank, calls, size, results):
    together = SharedSum(name, rank, WORLD, 4 * size)
    sums = []
    for call in range(calls):
        if (call + rank) % 5 == 0:
            time.sleep(0.002)
        sums.append(together(numbers_of(rank, call % 7, size)))
    totals = together(np.array([rank, 2.5], np.float64))
    results.put((rank, np.stack(sums), totals))


@pytest.fixture
def name():
    name = f"test-{os.getpid()}-{time.monotonic_ns()}"
    yield name
    assert not (shared_sum.FOLDER / f"digits-{name}").exists()


@pytest.mark.parametrize("size", [1, 16, 1000])
def test_all_workers_get_the_same_sums_in_the_order_of_ranks(name, size):
    calls, results = 60, SPAWN.Queue()
    workers = [SPAWN.Process(target=work, args=(name, rank, calls, size, results)) for rank in range(WORLD)]
    for worker in workers:
        worker.start()
    found = sorted((results.get(timeout=60) for _ in workers), key=lambda one: one[0])
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    for call in range(calls):
        parts = [numbers_of(rank, call % 7, size) for rank in range(WORLD)]
        expected = (parts[0] + parts[1]) + parts[2]
        for _, sums, _ in found:
            assert sums[call].dtype == np.float32 and np.array_equal(sums[call], expected)
    assert all(totals.tolist() == [3.0, 7.5] for _, _, totals in found)


def wait_for_ever(name, rank):
    SharedSum(name, rank, 2, 64)
    time.sleep(600)


def test_a_worker_that_is_killed_is_told_to_who_waits_for_it(name):
    other = SPAWN.Process(target=wait_for_ever, args=(name, 1))
    other.start()
    together = SharedSum(name, 0, 2, 64)
    os.kill(other.pid, signal.SIGKILL)
    other.join()
    with pytest.raises(TrainingError, match=f"worker 1, process {other.pid}, ended while others waited") as lost:
        together(np.ones(3, np.float32))
    assert "see what that worker said" in lost.value.remedy


def test_a_worker_that_stands_still_is_waited_for(name):
    results = SPAWN.Queue()
    workers = [SPAWN.Process(target=work, args=(name, rank, 400, 8, results)) for rank in range(WORLD)]
    for worker in workers:
        worker.start()
    time.sleep(1)
    os.kill(workers[1].pid, signal.SIGSTOP)
    time.sleep(2)
    os.kill(workers[1].pid, signal.SIGCONT)
    assert len({results.get(timeout=60)[1].tobytes() for _ in workers}) == 1
    for worker in workers:
        worker.join(60)


def test_who_does_not_come_is_told(name, monkeypatch):
    monkeypatch.setattr(shared_sum, "PATIENCE_S", 0.2)
    with pytest.raises(TrainingError, match="worker 0 did not come"):
        SharedSum(name, 1, 2, 64)
    with pytest.raises(TrainingError, match="worker 1 did not come"):
        SharedSum(name, 0, 2, 64)
    (shared_sum.FOLDER / f"digits-{name}").unlink()


def test_what_a_killed_group_left_is_replaced(name, monkeypatch):
    monkeypatch.setattr(shared_sum, "PATIENCE_S", 0.2)
    file = shared_sum.FOLDER / f"digits-{name}"
    file.write_bytes(b"left")
    with pytest.raises(TrainingError, match="worker 1 did not come"):
        SharedSum(name, 0, 2, 64)
    assert file.stat().st_size > 4 and file.stat().st_mode & 0o777 == 0o600
    file.unlink()


@pytest.mark.parametrize(
    ("local", "world", "machine", "system", "shared"),
    [
        (2, 2, "x86_64", "linux", True),
        (4, 4, "AMD64", "linux", True),
        (1, 1, "x86_64", "linux", False),
        (1, 2, "x86_64", "linux", False),
        (2, 3, "x86_64", "linux", False),
        (2, 2, "aarch64", "linux", False),
        (2, 2, "x86_64", "darwin", False),
    ],
)
def test_memory_is_shared_where_all_workers_see_each_others_writes_in_their_order(
    monkeypatch, local, world, machine, system, shared
):
    monkeypatch.setattr(shared_sum.platform, "machine", lambda: machine)
    monkeypatch.setattr(shared_sum.sys, "platform", system)
    assert can_share(local, world) == shared


def test_a_group_has_a_name_of_its_own(monkeypatch):
    names = set()
    for addresses in (["10.0.0.1:4000", "10.0.0.1:4001"], ["10.0.0.1:4000", "10.0.0.1:4002"]):
        for index in (0, 1):
            config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
            monkeypatch.setenv("TF_CONFIG", json.dumps(config))
            names.add(name_of_group())
    assert len(names) == 2
