"""jobs/read.py as people run it: a folder with all kinds of files, interrupted, and the same command again."""

import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from digits.evaluation.pages.simulated import PLAIN, simulated_page
from digits.images import encode_png
from digits.reading.networks import Networks

ROOT = Path(__file__).resolve().parents[2]
JOB = [sys.executable, str(ROOT / "jobs" / "read.py")]
COPIES = 60

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def sheet(test_digits):
    return simulated_page(test_digits[0][..., 0], test_digits[1], np.random.default_rng((96, 0)), PLAIN)


@pytest.fixture
def folder(tmp_path, sheet, test_digits) -> Path:
    """One sheet many times, a digit alone, a wall, a broken picture, and a file that is none."""
    folder = tmp_path / "pictures"
    (folder / "inside").mkdir(parents=True)
    data = encode_png(sheet.picture)
    for number in range(COPIES):
        (folder / f"sheet-{number:03d}.png").write_bytes(data)
    digit = cv2.resize(255 - test_digits[0][0], (140, 140))
    (folder / "inside" / "digit.png").write_bytes(encode_png(digit))
    (folder / "wall.png").write_bytes(encode_png(np.full((90, 90, 3), 200, np.uint8)))
    (folder / "broken.png").write_bytes(data[: len(data) // 2])
    (folder / "notes.txt").write_text("no picture")
    return folder


def test_a_folder_is_read_interrupted_and_read_to_its_end(folder, sheet, storage_path, environment, tmp_path):
    output = tmp_path / "read.csv"
    command = [*JOB, str(folder), "--output", str(output), "--storage-path", str(storage_path)]
    job = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    end = time.monotonic() + 120
    while not list(tmp_path.glob("read.csv.parts/*.json")):
        if time.monotonic() > end:
            job.kill()
        assert job.poll() is None, job.communicate()
        time.sleep(0.05)
    job.send_signal(signal.SIGTERM)
    told = "".join(job.communicate(timeout=60))
    assert job.returncode == 130 and "type the command again" in told and not output.exists()

    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert "notes.txt" in done.stdout and "of them read before" in done.stdout
    document = json.loads(done.stdout.splitlines()[-1])
    assert (document["count"], document["refused"], document["output"]) == (COPIES + 3, 2, str(output))
    by_name = {Path(one["file"]).name: one for one in document["pictures"]}
    assert by_name["wall.png"]["refused"] == "not_a_digit" and by_name["broken.png"]["refused"] == "damaged"
    assert len(by_name["digit.png"]["digits"]) == 1
    reading = Networks.load(str(storage_path / "first")).read(sheet.picture)
    assert {by_name[f"sheet-{n:03d}.png"]["text"] for n in range(COPIES)} == {reading.text}
    with output.open(newline="") as file:
        assert [row["file"] for row in csv.DictReader(file)] == [one["file"] for one in document["pictures"]]
    assert not Path(f"{output}.parts").exists()

    again = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert again.returncode == 1 and "is there already" in again.stderr
