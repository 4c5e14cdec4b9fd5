"""Sums over the workers of one node by memory that they share: TensorFlow's go over the network, many times as slowly.

Each worker copies its numbers into a slot of its own, raises its counter, waits for the others' and adds all slots in
the order of ranks, so that all have the same sum. Slots are used in turns: nobody writes where others may still read
(double buffering, as in DeepSpeed's all-reduce by shared memory, github.com/deepspeedai/DeepSpeed/pull/5391).
"""

import contextlib
import hashlib
import json
import mmap
import os
import platform
import sys
import time
from pathlib import Path

import numpy as np

from digits.errors import TrainingError

IN_ORDER = ("x86_64", "AMD64")
"""Processors that show a worker's writes to the others in their order; elsewhere the counter might come first."""
FOLDER = Path("/dev/shm")
"""Where Linux keeps files in memory."""
LINE = 64
"""Bytes of a cache line: counters in one line would slow each other down."""
TURNS = 2
"""Slots of each worker."""
SPINS = 2_000
"""How often a worker looks at a counter, giving way to others, before it sleeps in between."""
PAUSE_S = 0.0005
PATIENCE_S = 300.0
"""How long the others may take to come."""


def can_share(local_world_size: int, world_size: int) -> bool:
    """Whether all workers are on this node, and it lets them add by shared memory."""
    here = local_world_size == world_size > 1
    return here and sys.platform == "linux" and platform.machine() in IN_ORDER and FOLDER.is_dir()


class SharedSum:
    """The sums of one worker with the others of its node; each of them calls the same ones in the same order."""

    def __init__(self, name: str, rank: int, world_size: int, largest_bytes: int) -> None:
        """Meet the others, who give the same `name`, `world_size` and size of the largest array; TrainingError after
        PATIENCE_S without them."""
        self.rank, self.world_size, self.calls = rank, world_size, 0
        slot = -(-largest_bytes // LINE) * LINE
        head = 2 * LINE * world_size
        file, size = FOLDER / f"digits-{name}", head + TURNS * world_size * slot
        memory = create(file, size) if rank == 0 else attach(file, size)
        places = np.ndarray((2, world_size, LINE // 8), np.int64, memory)
        self.counters, self.processes = places[0, :, 0], places[1, :, 0]
        self.slots = np.ndarray((TURNS, world_size, slot), np.uint8, memory, offset=head)
        self.processes[rank] = os.getpid()
        self(np.zeros(1, np.float32))
        if rank == 0:
            file.unlink()  # all have it, and it ends with them

    def __call__(self, numbers: np.ndarray) -> np.ndarray:
        """The sum of all workers' arrays of this shape and dtype; TrainingError where a worker has ended."""
        self.calls += 1
        slots = self.slots[self.calls % TURNS, :, : numbers.nbytes].view(numbers.dtype)
        slots[self.rank] = numbers.reshape(-1)
        self.counters[self.rank] = self.calls
        for rank in range(self.world_size):
            self._wait_for(rank)
        total = slots[0].copy()
        for others in slots[1:]:
            total += others
        return total.reshape(numbers.shape)

    def _wait_for(self, rank: int) -> None:
        looks, begun = 0, time.monotonic()
        while self.counters[rank] < self.calls:
            looks += 1
            if looks < SPINS:
                os.sched_yield()
                continue
            time.sleep(PAUSE_S)
            process = int(self.processes[rank])
            if process and not is_alive(process):
                raise lost(f"worker {rank}, process {process}, ended while others waited for it")
            if not process and time.monotonic() > begun + PATIENCE_S:
                raise lost(f"worker {rank} did not come")


def name_of_group() -> str:
    """A name that only the workers of this group have, from their addresses, whose ports they hold."""
    addresses = json.loads(os.environ["TF_CONFIG"])["cluster"]["worker"]
    return hashlib.sha256(" ".join(addresses).encode()).hexdigest()[:32]


def create(file: Path, size: int) -> mmap.mmap:
    """Zeros that other processes of this user can attach."""
    file.unlink(missing_ok=True)  # left by a group that was killed while it met, and had the same ports
    descriptor = os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, size)  # an error here, and not a signal later, where there is no room
        return mmap.mmap(descriptor, size)
    finally:
        os.close(descriptor)


def attach(file: Path, size: int) -> mmap.mmap:
    """What another process created, as soon as it is there; TrainingError where it is not within PATIENCE_S."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        with contextlib.suppress(FileNotFoundError), file.open("r+b") as opened:
            if os.fstat(opened.fileno()).st_size == size:
                return mmap.mmap(opened.fileno(), size)
        time.sleep(0.01)
    raise lost("worker 0 did not come")


def lost(what: str) -> TrainingError:
    """The error of a worker that others cannot do without; Ray Train starts the group again."""
    expected = f"all workers of the node at every sum, and at the first one within {PATIENCE_S:.0f} s"
    return TrainingError(what, expected, "see what that worker said; mostly it was killed for want of memory")


def is_alive(process: int) -> bool:
    """Whether a process of this node runs."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
