"""Faults around the training job as people run it: a killed driver, disks that are full or read-only, damaged files.

Each ends with a recovery that loses no finished epoch, or at once with one clear message and a non-zero exit code.
Each test prints the time it took (`pytest -rP`).
"""

import json
import os
import shutil
import signal
import tempfile
import time

import pytest

from digits.models import checkpoints
from digits.storage import Storage
from tests.end_to_end.faults import Job, report_recovery, small_disk

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

EPOCHS = 12
"""Enough for a kill to come before the last one."""

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a file system")


@pytest.fixture
def own_ray():
    """Environment in which Ray finds no cluster of anyone else; its sockets need a short path."""
    folder = tempfile.mkdtemp(prefix="ray")
    yield {"RAY_TMPDIR": folder}
    shutil.rmtree(folder, ignore_errors=True)


def train(storage, data, *arguments, epochs=EPOCHS, env):
    """A training job for one small network on few digits."""
    fixed = ("--architecture", "baseline", "--epochs", epochs, "--data", data, "--storage-path", storage)
    return Job("jobs/train.py", *fixed, *arguments, env=env)


def epochs_of(storage):
    """Paths of all epochs' checkpoints in a storage path, in their order."""
    return sorted(storage.glob("*/baseline-seed0-epoch*"))


def until_quiet(storage):
    """Wait until the workers of a killed job have noticed it, and write no more."""
    seen, since = epochs_of(storage), time.monotonic()
    while time.monotonic() < since + 5:
        time.sleep(0.5)
        if epochs_of(storage) != seen:
            seen, since = epochs_of(storage), time.monotonic()


def assert_ended_with_one_message(job, *parts):
    """The job failed, and said why in the project's three parts instead of a traceback."""
    assert job.wait() == 1, job.output
    for part in ("expected:", "what to do:", *parts):
        assert part in job.output, job.output
    assert "Traceback" not in job.output, job.output


def test_a_killed_driver_and_then_a_damaged_checkpoint_and_its_command_repeated(tiny_mnist, tmp_path, own_ray):
    storage, named = tmp_path / "runs", ("--run-name", "mine")
    job = train(storage, tiny_mnist, *named, env=own_ray)
    job.wait_for(f"epoch  4/{EPOCHS}")
    second = train(storage, tiny_mnist, *named, env=own_ray)
    assert_ended_with_one_message(second, "is in use", f"process {job.process.pid}")
    job.process.kill()
    assert job.wait() == -signal.SIGKILL
    until_quiet(storage)
    assert not (storage / "best.json").exists()
    for path in epochs_of(storage)[:3]:
        checkpoints.load(str(path))

    # What a node's sudden end may leave of the newest files, too.
    damaged = epochs_of(storage)[-1]
    weights = damaged / checkpoints.WEIGHTS
    weights.write_bytes(weights.read_bytes()[:1000] if weights.exists() else b"")
    before = int(damaged.name[-3:]) - 1

    started = time.perf_counter()
    repeated = train(storage, tiny_mnist, *named, env=own_ray)
    repeated.wait_for(f"epoch {before + 1:2}/{EPOCHS}")
    report_recovery("driver killed (SIGKILL), the command repeated, to the next epoch", time.perf_counter() - started)
    assert repeated.wait() == 0, repeated.output
    assert "a checkpoint is damaged, the one before it is used instead" in repeated.output
    assert f"goes on after epoch {before}" in repeated.output
    assert "is in use" not in repeated.output
    assert {path.name for path in storage.iterdir() if path.is_dir()} == {"mine", "registry"}
    assert len(epochs_of(storage)) == json.loads(repeated.lines[-1])["runs"][0]["epochs"] == EPOCHS
    assert not (storage / "mine" / "job.json").exists()
    checkpoints.load(checkpoints.best_checkpoint(Storage.open(storage)))
    other = train(storage, tiny_mnist, *named, epochs=EPOCHS + 1, env=own_ray)
    assert_ended_with_one_message(other, f"--epochs {EPOCHS} and not {EPOCHS + 1}")


def test_a_job_that_is_told_to_end_ends_and_can_go_on(tiny_mnist, tmp_path, own_ray):
    storage = tmp_path / "runs"
    job = train(storage, tiny_mnist, epochs=400, env=own_ray)
    job.wait_for("epoch  3/400")
    started = time.perf_counter()
    job.process.send_signal(signal.SIGTERM)
    assert job.wait() == 130, job.output
    report_recovery("SIGTERM, to the end of the job", time.perf_counter() - started)
    assert "stopped by" in job.output
    assert "Traceback" not in job.output
    assert len(epochs_of(storage)) < 400
    for path in epochs_of(storage)[:-1]:
        checkpoints.load(str(path))


@root_only
def test_a_disk_that_fills_up_ends_training_with_the_reason(tiny_mnist, tmp_path, own_ray):
    with small_disk(tmp_path / "small", size="700k") as storage:
        started = time.perf_counter()
        job = train(storage, tiny_mnist, epochs=30, env=own_ray)
        assert_ended_with_one_message(job, "No space left on device", "--resume")
        report_recovery("disk full, to the message", time.perf_counter() - started)
        readable = [path for path in epochs_of(storage) if (path / checkpoints.RECORD).exists()]
        assert readable
        for path in readable[:-1]:
            checkpoints.load(str(path))
        assert not (storage / "best.json").exists()


@root_only
def test_a_read_only_disk_is_refused_before_ray_starts(tiny_mnist, tmp_path, own_ray):
    with small_disk(tmp_path / "small", size="10m", read_only=True) as storage:
        started = time.perf_counter()
        job = train(storage, tiny_mnist, env=own_ray)
        assert_ended_with_one_message(job, "cannot write to", "--storage-path")
        report_recovery("read-only disk, to the message", time.perf_counter() - started)


def test_a_truncated_shard_is_named_before_ray_starts(tiny_mnist, tmp_path, own_ray):
    folder = tmp_path / "digits"
    shutil.copytree(tiny_mnist, folder)
    shard = folder / "train-1.parquet"
    shard.write_bytes(shard.read_bytes()[:-1000])
    started = time.perf_counter()
    job = train(tmp_path / "runs", folder, env=own_ray)
    assert_ended_with_one_message(job, str(shard), "a complete Parquet file")
    report_recovery("truncated shard, to the message", time.perf_counter() - started)
