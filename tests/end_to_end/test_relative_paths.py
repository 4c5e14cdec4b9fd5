"""Jobs can be started in any folder, with paths that are relative to it; also by their own absolute paths.

Training, evaluation, search, benchmark and the reader's training are started so by their own tests; here are the other
jobs.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from digits.data.mnist import find_mnist
from digits.evaluation.simulated_photos import PhotoConditions, photo_set
from digits.images import encode_png
from tests.end_to_end.faults import Job
from tests.end_to_end.quick_checkpoint import read_shard
from tests.end_to_end.serve_cluster import wait_for

ROOT = Path(__file__).resolve().parents[2]


def run(name: str, *arguments: str | Path, folder: Path) -> dict:
    """The last line of a job that is started in a folder."""
    command = [sys.executable, str(ROOT / "jobs" / f"{name}.py"), *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_load_test_measures_a_checkpoint_beside_the_service(plain_server, storage_path):
    flags = ("--url", plain_server, "--seconds", 0.3, "--connections", 2, "--kinds", "png")
    document = run("load_test", *flags, "--checkpoint", "first", folder=storage_path)
    assert [(row["kind"], row["server"]) for row in document["results"]] == [("png", "service"), ("png", "bare")]
    for row in document["results"]:
        assert row["requests"] > 0 and row["statuses"] == {"200": row["requests"]}


def test_the_load_test_of_a_checkpoint_that_is_not_there_says_so(plain_server, tmp_path):
    command = [sys.executable, str(ROOT / "jobs" / "load_test.py"), "--url", plain_server, "--checkpoint", "nothing"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=250)
    assert done.returncode == 1
    assert str(tmp_path / "nothing") in done.stderr and "Traceback" not in done.stderr


@pytest.mark.slow
def test_scale_reads_checkpoints_and_writes_its_picture(trained_record, tmp_path):
    flags = (
        "--architectures",
        "baseline",
        "--batch-sizes",
        8,
        32,
        "--checkpoints",
        trained_record,
        "--output",
        "drawn",
    )
    document = run("scale", *flags, folder=tmp_path)
    assert set(document["networks"]) == {"baseline"}
    assert (tmp_path / "drawn" / "scaling.png").read_bytes().startswith(b"\x89PNG")


@pytest.fixture
def trained_record(storage_path, tmp_path) -> str:
    """A checkpoint with a history, by its path from a folder."""
    checkpoint = tmp_path / "checkpoints" / "first"
    checkpoint.mkdir(parents=True)
    for file in (storage_path / "first").iterdir():
        (checkpoint / file.name).write_bytes(file.read_bytes())
    record = json.loads((checkpoint / "checkpoint.json").read_text())
    record |= {"architecture_name": "baseline", "history": [{"train_seconds": 2.0}], "training": {"num_workers": 2}}
    (checkpoint / "checkpoint.json").write_text(json.dumps(record))
    return os.path.relpath(checkpoint, tmp_path)


@pytest.fixture
def idx_files(tmp_path) -> str:
    """MNIST's four original files, rebuilt from the shards that are shipped."""
    folder = tmp_path / "idx"
    folder.mkdir()
    for part, name in (("train", "train"), ("test", "t10k")):
        tables = [pq.read_table(file) for file in sorted(find_mnist().glob(f"{part}-*.parquet"))]
        images = np.concatenate([table["image"].combine_chunks().to_numpy_ndarray() for table in tables])
        labels = np.concatenate([table["label"].to_numpy() for table in tables]).astype(np.uint8)
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            head = np.array([0x800 + array.ndim, *array.shape], ">u4").tobytes()
            (folder / f"{name}-{kind}-ubyte").write_bytes(head + array.tobytes())
    return "idx"


@pytest.mark.long
def test_the_shipped_shards_are_made_again_from_mnists_own_files(idx_files, tmp_path):
    document = run("make_shards", idx_files, "--output", "made", folder=tmp_path)
    names = sorted(file.name for file in find_mnist().glob("*.parquet"))
    assert sorted(document["files"]) == names and len(names) == 14
    assert (document["digits"], document["held_out"], document["inverted"]) == (70_000, 10_000, 0)
    for name in names:
        assert pq.read_table(tmp_path / "made" / name).equals(pq.read_table(find_mnist() / name)), name


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_folder_of_photos_becomes_digits_to_train_on(tmp_path, environment):
    """By a job that is killed on the way and typed again."""
    digits, labels = read_shard("train-11-of-12.parquet")
    photos = photo_set(digits[:300], 0, PhotoConditions())
    for number, photo in enumerate(photos):
        folder = tmp_path / "mine" / str(labels[number])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number:03d}.png").write_bytes(encode_png(photo))
    (tmp_path / "mine" / "3" / "blank.png").write_bytes(encode_png(np.full((80, 60), 220, np.uint8)))
    (tmp_path / "mine" / "3" / "notes.txt").write_text("who wrote them")
    command = (ROOT / "jobs/make_shards.py", "mine", "--output", "made")
    first = Job(*command, cwd=tmp_path, env=environment)
    wait_for(lambda: list((tmp_path / "made" / "parts").glob("*.npz")), "the first part", 100)
    first.stop(signal.SIGTERM)
    assert first.wait() == 130, first.output
    assert "type the command again to go on" in first.output
    job = Job(*command, cwd=tmp_path, env=environment)
    assert job.wait() == 0, job.output
    assert "left out of mine, no pictures or without a label: 3/notes.txt" in job.output
    document = json.loads(job.lines[-1])
    assert document["refused"] >= 1 and document["digits"] + document["refused"] == 301
    assert "blank.png,3,blank" in (tmp_path / "made" / "refused.csv").read_text()
    assert (tmp_path / "made" / "refused.png").read_bytes().startswith(b"\x89PNG")
    assert not (tmp_path / "made" / "parts").exists()
    tiny = ("--architecture", "baseline", "--epochs", "1", "--storage-path", "runs")
    trained = Job(ROOT / "jobs/train.py", "--data", "made", *tiny, cwd=tmp_path, env=environment)
    assert trained.wait() == 0, trained.output
