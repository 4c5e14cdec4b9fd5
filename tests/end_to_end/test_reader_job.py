"""The job that trains the page reader, as people run it: interrupted, resumed, and its reader read with."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from digits.errors import NotADigit
from digits.reading.reader import Reader

ROOT = Path(__file__).resolve().parents[2]
JOB = [sys.executable, str(ROOT / "jobs" / "train_reader.py")]


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_run_that_was_stopped_goes_on_and_ends_with_a_reader(tmp_path):
    """Its folder is named relative to the one that it is started in."""
    small = ["--epochs", "3", "--squares-per-epoch", "24", "--storage-path", "runs"]
    job = subprocess.Popen([*JOB, *small], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        (run_dir,) = wait_for(lambda: list(tmp_path.glob("runs/reader-*/epoch-001")), job)
    finally:
        job.send_signal(signal.SIGTERM)
        job.communicate(timeout=120)
    assert job.returncode == 130
    run = run_dir.parent.name
    resumed = subprocess.run(
        [*JOB, "--resume", run, "--storage-path", "runs"], cwd=tmp_path, capture_output=True, text=True, timeout=1400
    )
    assert resumed.returncode == 0, resumed.stderr
    assert "goes on after epoch" in resumed.stdout and "waiting for pages" in resumed.stdout
    document = json.loads(resumed.stdout.splitlines()[-1])
    assert 0 <= document["simulated_pages"]["character_error_rate"] <= 1
    assert Path(document["run_dir"]) == tmp_path / "runs" / run
    reader = Reader.load(document["reader"])
    assert [epoch["epoch"] for epoch in reader.record["history"]] == [1, 2, 3]
    assert 1 <= reader.record["epoch"] == document["epoch"] <= 3
    with pytest.raises(NotADigit):
        reader.read(np.full((50, 50), 200, np.uint8))


def wait_for(found, job):
    """What `found` returns once it is something; fails when the job ends or five minutes pass first."""
    for _ in range(600):
        result = found()
        if result:
            return result
        assert job.poll() is None, job.stderr.read()
        time.sleep(0.5)
    raise AssertionError("nothing after five minutes")


def test_mistakes_are_told_before_time_is_spent(tmp_path):
    for arguments, part in (
        (["--resume", "reader-nowhere"], "is no run that can go on"),
        (["--epochs", "0"], "epochs = 0"),
        (["--learning-rate", "7"], "learning_rate = 7.0"),
    ):
        job = subprocess.run(
            [*JOB, *arguments, "--storage-path", "."], cwd=tmp_path, capture_output=True, text=True, timeout=200
        )
        assert job.returncode == 1 and part in job.stderr and "what to do" in job.stderr, job.stderr
