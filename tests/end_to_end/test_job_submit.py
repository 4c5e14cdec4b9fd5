"""`ray job submit --working-dir . jobs/train.py`: what is uploaded, what is streamed, exit codes, and a stopped job."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import pytest

from digits.models import checkpoints
from digits.storage import Storage
from tests.end_to_end import faults
from tests.end_to_end.faults import ROOT, report_recovery
from tests.end_to_end.job_head import Head

MAX_UPLOAD_BYTES = 20e6


def test_jobs_can_be_run_by_name():
    for name in ("train.py", "evaluate.py", "tune.py"):
        job = ROOT / "jobs" / name
        assert os.access(job, os.X_OK), name
        assert job.read_text().startswith("#!/usr/bin/env python\n"), name


def test_the_upload_is_small(tmp_path):
    """What Ray would upload of the tracked files, by Ray's own packing."""
    from ray._private.runtime_env.packaging import create_package

    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    names = [os.fsdecode(name) for name in tracked.split(b"\0") if name]
    for name in names:
        if (ROOT / name).exists():
            (tmp_path / "project" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tmp_path / "project" / name)
    # Things that lie about in a checkout, and must stay where they are.
    for name in (".venv", "runs", ".git", "my_photos"):
        (tmp_path / "project" / name).mkdir()
        (tmp_path / "project" / name / "large").write_bytes(bytes(30_000_000))
    package = tmp_path / "package.zip"
    create_package(str(tmp_path / "project"), package, include_gitignore=True, excludes=[".git", ".venv"])
    assert package.stat().st_size < MAX_UPLOAD_BYTES
    packed = zipfile.ZipFile(package).namelist()
    assert any(name.endswith("mnist/digits_mnist/train-00-of-12.parquet") for name in packed)
    assert not any("large" in name for name in packed)
    assert not any(name.startswith(("docs/", "tests/", "project/docs/", "project/tests/")) for name in packed)


@pytest.fixture(scope="module")
def head():
    folder = Path(tempfile.mkdtemp(prefix="ray"))
    head = Head(folder)
    deadline = time.monotonic() + faults.PATIENCE_S
    while head.ray("job", "list").returncode != 0:
        assert head.process.poll() is None and time.monotonic() < deadline, (folder / "head.log").read_text()
        time.sleep(1)
    yield head
    head.stop()
    shutil.rmtree(folder, ignore_errors=True)


def train(storage, data, epochs=40):
    return (
        "jobs/train.py",
        "--architecture",
        "baseline",
        "--epochs",
        epochs,
        "--data",
        data,
        "--storage-path",
        storage,
    )


@pytest.mark.slow
@pytest.mark.timeout(280)
def test_without_the_token_nothing_runs(head, tmp_path):
    (tmp_path / "home").mkdir()
    refused = head.submit("echo", "hello", HOME=str(tmp_path / "home"), RAY_AUTH_MODE="disabled")
    assert refused.returncode != 0
    assert "hello" not in refused.stdout.splitlines()


@pytest.mark.slow
@pytest.mark.timeout(280)
def test_a_mistake_is_streamed_and_fails_the_submission(head, tmp_path):
    submitted = head.submit(*train(tmp_path, tmp_path / "nowhere"))
    assert submitted.returncode == 1
    assert "there are no Parquet files in" in submitted.stdout
    assert "what to do:" in submitted.stdout


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_without_a_storage_path_a_run_lies_in_a_folder_that_stays_and_is_found_without_flags(
    head, tiny_mnist, tmp_path
):
    place = Path(head.env["HOME"]) / "digits-runs"
    small = ("--architecture", "baseline", "--epochs", 1, "--data", tiny_mnist)
    trained = head.submit("jobs/train.py", *small)
    assert trained.returncode == 0, trained.stdout
    first = next(line for line in trained.stdout.splitlines() if "| run" in line)
    (run,) = (path.name for path in place.glob("train-*"))
    assert first.endswith(f"| run {place / run}")
    assert not list(Path(head.env["RAY_TMPDIR"]).glob("**/_ray_pkg_*/runs"))

    # From another upload, and from a checkout without runs.
    resumed = head.submit("jobs/train.py", "--resume", run)
    assert resumed.returncode == 0, resumed.stdout
    assert f"| run {place / run}" in resumed.stdout
    judged = subprocess.run(
        [sys.executable, ROOT / "jobs/evaluate.py", "--no-report"],
        cwd=tmp_path,
        env=head.env,
        capture_output=True,
        text=True,
        timeout=faults.PATIENCE_S,
    )
    assert judged.returncode == 0, judged.stderr
    assert json.loads(judged.stdout.splitlines()[-1])["checkpoint"] == str(place / run / "baseline-seed0")
    assert not (tmp_path / "runs").exists()

    refused = head.submit("jobs/train.py", *small, "--storage-path", "runs")
    assert refused.returncode == 1
    assert "the relative path runs" in refused.stdout and "what to do:" in refused.stdout


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_a_stopped_job_leaves_epochs_to_go_on_from(head, tiny_mnist, tmp_path):
    assert head.submit(*train(tmp_path, tiny_mnist), flags=("--no-wait", "--submission-id", "first")).returncode == 0
    deadline = time.monotonic() + faults.PATIENCE_S
    while "epoch  3/40" not in head.ray("job", "logs", "first").stdout:
        assert time.monotonic() < deadline
        time.sleep(1)
    started = time.perf_counter()
    assert head.ray("job", "stop", "first").returncode == 0
    report_recovery("ray job stop, to the end of the job", time.perf_counter() - started)
    epochs = sorted(tmp_path.glob("*/baseline-seed0-epoch*"))
    assert len(epochs) >= 3
    for path in epochs[:-1]:
        checkpoints.load(str(path))
    assert not (tmp_path / "best.json").exists()

    # The last one may have been in the making; whatever it is, training goes on.
    resumed = head.submit("jobs/train.py", "--storage-path", tmp_path, "--resume", epochs[0].parent.name)
    assert resumed.returncode == 0, resumed.stdout
    assert "goes on after epoch" in resumed.stdout
    document = next(json.loads(line) for line in resumed.stdout.splitlines() if line.startswith('{"runs"'))
    assert document["runs"][0]["epochs"] == 40
    checkpoints.load(checkpoints.best_checkpoint(Storage.open(tmp_path)))


@pytest.mark.slow
@pytest.mark.timeout(280)
def test_a_search_is_submitted_by_its_path_and_output_and_exit_code_come_back(head, tiny_mnist, tmp_path):
    sizes = ("--num-samples", 3, "--max-epochs", 2, "--train-images", 100, "--validation-images", 40)
    flags = (*sizes, "--batch-size", 20, "--epochs", 1, "--data", tiny_mnist, "--storage-path", tmp_path)
    started = time.perf_counter()
    submitted = head.submit("jobs/tune.py", *flags)
    report_recovery("a search of three trials through ray job submit", time.perf_counter() - started)
    assert submitted.returncode == 0, submitted.stdout
    assert "epoch  1/2 | loss" in submitted.stdout
    document = next(json.loads(line) for line in submitted.stdout.splitlines() if line.startswith('{"best"'))
    assert (document["trials"], document["failed"]) == (3, 0)
    assert str(checkpoints.best_checkpoint(Storage.open(tmp_path))) == document["best"]["checkpoint"]
    refused = head.submit("jobs/tune.py", "--max-parameters", 10)
    assert refused.returncode == 1
    assert "the smallest has" in refused.stdout
