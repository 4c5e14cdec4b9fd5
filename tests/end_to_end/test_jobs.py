"""The jobs as people run them: from the command line to the last line of stdout, and every mistake as one message."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from digits.commands.console import run_job
from digits.commands.evaluation import EvaluateSettings, evaluate_checkpoint
from digits.commands.training import TrainSettings, train
from digits.evaluation.pages.simulated import PLAIN, simulated_page
from digits.images import encode_png, to_rgb
from digits.models import checkpoints
from digits.storage import Storage
from tests.end_to_end.conftest import read_shard
from tests.end_to_end.faults import Job

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments, timeout=280, env=None, cwd=ROOT):
    """A job in a process of its own, from the repository's root or another folder."""
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, timeout=timeout, env=env
    )


@pytest.fixture(scope="module")
def trained(tiny_mnist, tmp_path_factory):
    """Storage after one run of the training job: both of the article's networks, one epoch, tiny data.

    Its paths are relative to a folder that it is started in. With tokens, as Ray has them where nobody says otherwise,
    and a home folder in which nothing can be written.
    """
    storage = tmp_path_factory.mktemp("work") / "storage"
    data = os.path.relpath(tiny_mnist, storage.parent)
    env = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
    job = run(
        *(ROOT / "jobs" / "train.py", "--architecture", "both", "--epochs", "1"),
        *("--data", data, "--storage-path", "storage"),
        env={**env, "HOME": "/dev/null"},
        cwd=storage.parent,
    )
    assert job.returncode == 0, job.stderr
    return storage, job.stdout


def test_training_prints_a_line_for_each_epoch_and_ends_with_its_document(trained):
    storage, output = trained
    lines = output.strip().splitlines()
    document = json.loads(lines[-1])
    assert sum("epoch  1/1 | train loss" in line for line in lines) == 2
    assert [run["architecture"] for run in document["runs"]] == ["baseline", "improved"]
    for summary in document["runs"]:
        assert {
            "architecture", "seed", "checkpoint", "best_epoch", "validation_accuracy", "validation_loss", "epochs",
            "images_per_second", "train_s", "total_s",
        } <= set(summary)  # fmt: skip
        checkpoints.load(summary["checkpoint"])
    assert str(checkpoints.best_checkpoint(Storage.open(storage))) in {
        summary["checkpoint"] for summary in document["runs"]
    }


def test_training_leaves_pictures_and_tables(trained):
    run_dir = Path(json.loads(trained[1].splitlines()[-1])["run_dir"])
    names = {path.name for path in run_dir.iterdir()}
    assert {"metrics.json", "history.csv", "digits.png", "learning_curves.png"} <= names
    assert {"confusion-baseline-seed0.png", "predictions-improved-seed0.png"} <= names
    assert (run_dir / "history.csv").read_text().count("\n") == 3


def test_evaluation_reports_validation_digits_and_photos(trained, tiny_mnist):
    """All its paths are relative to the folder that it is started in."""
    from digits.config import DataConfig
    from digits.data.files import find_digits
    from digits.data.read import read_without_ray
    from digits.data.split import split_rows

    storage, output = trained
    folder, data = storage.parent, os.path.relpath(tiny_mnist, storage.parent)
    files = find_digits(tiny_mnist)
    images, labels = read_without_ray(files, split_rows(files, DataConfig()), inverted_copies=False)
    (folder / "photos").mkdir()
    for index in range(12):
        (folder / "photos" / f"{labels[index]}_{index}.png").write_bytes(encode_png(to_rgb(images[index])))
    (folder / "photos" / "README.md").write_text("who wrote them")
    kept = [Path(summary["checkpoint"]).relative_to(folder) for summary in json.loads(output.splitlines()[-1])["runs"]]
    judged = ("--checkpoint", kept[0], "--compare", kept[1].parent, "--data", data, "--storage-path", "storage")
    job = run(ROOT / "jobs" / "evaluate.py", *judged, "--photos", "photos", "--no-report", cwd=folder)
    assert job.returncode == 0, job.stderr
    assert "left out of photos, no pictures or without a label: README.md" in job.stdout
    document = json.loads(job.stdout.splitlines()[-1])
    assert Path(document["checkpoint"]) == folder / kept[0]
    assert Path(document["run_dir"]).parent == storage
    assert document["validation"]["images"] == 240
    assert document["photos"]["images"] == 12
    trained_accuracy = {
        summary["checkpoint"]: summary["validation_accuracy"] for summary in json.loads(output.splitlines()[-1])["runs"]
    }
    assert document["validation"]["accuracy"] == pytest.approx(trained_accuracy[document["checkpoint"]], abs=1 / 240)
    assert Path(document["run_dir"], "photos.csv").read_text().startswith("file,label,answer,confidence")


def test_evaluation_counts_errors_on_pages_and_answers_to_what_shows_no_digit(trained, tmp_path):
    storage, _ = trained
    pages, nothing = tmp_path / "pages", tmp_path / "nothing"
    pages.mkdir()
    nothing.mkdir()
    digits, labels = read_shard("train-11-of-12.parquet")
    rows = ["file,text"]
    for number in range(3):
        page = simulated_page(digits, labels, np.random.default_rng((9, number)), PLAIN)
        (pages / f"{number}.png").write_bytes(encode_png(page.picture))
        rows.append(f"{number}.png,{'|'.join(page.lines)}")
    (pages / "blank.png").write_bytes(encode_png(np.full((60, 80), 240, np.uint8)))
    rows.append("blank.png,12345")
    (pages / "labels.csv").write_text("\n".join(rows))
    (nothing / "grey.png").write_bytes(encode_png(np.full((60, 80), 200, np.uint8)))
    folders = ("--pages", "pages", "--not-digits", "nothing", "--storage-path", os.path.relpath(storage, tmp_path))
    job = run(ROOT / "jobs" / "evaluate.py", *folders, "--no-report", cwd=tmp_path)
    assert job.returncode == 0, job.stderr
    document = json.loads(job.stdout.splitlines()[-1])
    score = document["pages"]
    assert set(score) == {"images", "exact", "lines_exact", "digits", "edit_distance", "character_error_rate"}
    assert score["images"] == 4 and score["digits"] == 5 + 3 * 18
    assert score["edit_distance"] >= 5 and score["character_error_rate"] == score["edit_distance"] / score["digits"]
    assert document["not_digits"] == {"images": 1, "answered": 0} and document["photos"] is None
    assert Path(document["run_dir"], "pages.csv").read_text().startswith("file,text,read,rotation")


def test_an_evaluation_that_is_stopped_says_so(trained):
    """It is started in another folder than training was, whose data it finds all the same."""
    storage, _ = trained
    earlier = set(storage.glob("evaluate-*/metrics.json"))
    job = Job("jobs/evaluate.py", "--storage-path", storage)
    job.wait_for("parameters, from")
    sent = job.stop(signal.SIGTERM, group=True)
    job.wait_for("stopped by Ctrl-C or SIGTERM before the evaluation was written; start it again")
    assert time.monotonic() - sent < 2
    assert job.wait() == 130
    assert "Traceback" not in job.output
    assert set(storage.glob("evaluate-*/metrics.json")) == earlier


MISTAKES = [
    (TrainSettings, train, ["--epochs", "0"], "epochs = 0"),
    (TrainSettings, train, ["--learning-rate", "-1"], "learning rate = -1"),
    (TrainSettings, train, ["--batch-size", "0"], "batch size = 0"),
    (TrainSettings, train, ["--seeds", "1", "1"], "seeds (1, 1)"),
    (TrainSettings, train, ["--data", "nothing-here"], "no Parquet files"),
    (TrainSettings, train, ["--resume", "nothing-here"], "no run that can go on"),
    (TrainSettings, train, ["--storage-path", "/proc/runs"], "cannot write"),
    (EvaluateSettings, evaluate_checkpoint, ["--checkpoint", "nothing-here"], "checkpoint.json"),
    (EvaluateSettings, evaluate_checkpoint, ["--photos", "nothing-here"], "no folder"),
    (EvaluateSettings, evaluate_checkpoint, ["--pages", "nothing-here"], "there is no nothing-here"),
    (EvaluateSettings, evaluate_checkpoint, ["--not-digits", "nothing-here"], "no folder"),
]


@pytest.mark.parametrize(
    ("settings", "job", "arguments", "words"), MISTAKES, ids=lambda value: str(getattr(value, "__name__", value))
)
def test_a_mistake_is_one_message_before_ray_starts(settings, job, arguments, words, refusal):
    assert words in refusal(settings, job, arguments)


def test_photos_that_cannot_be_used_are_refused(trained, tmp_path, monkeypatch):
    storage, _ = trained
    for content, words in ((None, "holds no labelled photos"), (b"just text", "7.png cannot be read")):
        if content:
            (tmp_path / "7.png").write_bytes(content)
        monkeypatch.setattr(sys, "argv", ["job", "--photos", str(tmp_path), "--storage-path", str(storage)])
        with pytest.raises(SystemExit, match=words):
            run_job(EvaluateSettings, evaluate_checkpoint)


def test_an_unknown_flag_is_answered_with_the_nearest_one(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["jobs/train.py", "--seds", "1"])
    with pytest.raises(SystemExit) as ended:
        run_job(TrainSettings, train)
    assert ended.value.code == 2
    assert "--seeds" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["jobs/train.py"], ["-m", "jobs.evaluate"], ["jobs/make_shards.py"]])
def test_jobs_run_as_files_and_as_modules_and_explain_themselves(arguments):
    shown = run(*arguments, "--help")
    assert shown.returncode == 0
    assert "usage" in shown.stdout.lower()
