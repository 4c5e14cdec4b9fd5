"""The tuning job as people run it: submitted to a cluster, and when a trial, the job or its user ends it early."""

import json
import os
import re
import signal
from pathlib import Path

import pytest

from digits.commands.tuning import TuneSettings, tune
from digits.models import checkpoints
from digits.storage import Storage
from tests.end_to_end import faults

KEYS = {"best", "trials", "stopped_early", "failed", "epochs_trained", "epochs_without_early_stopping", "total_s"}
KEYS |= {"run_dir"}


def command(data, storage, max_epochs=2):
    """A small search: three trials on 100 digits, and one short full training."""
    settings = {
        "num-samples": 3, "max-epochs": max_epochs, "train-images": 100, "validation-images": 40, "batch-size": 20,
        "epochs": 1, "start": "baseline", "distortion": 1, "data": data, "storage-path": storage,
    }  # fmt: skip
    return faults.ROOT / "jobs" / "tune.py", *(
        word for name, value in settings.items() for word in (f"--{name}", value)
    )


@pytest.fixture
def start():
    """Starts jobs, and ends those that are left."""
    jobs = []

    def start_job(*arguments, **options):
        jobs.append(faults.Job(*arguments, **options))
        return jobs[-1]

    yield start_job
    for job in jobs:
        job.process.kill()
        job.process.wait(60)


def document_of(output):
    """The JSON document in what a job printed."""
    return json.loads(next(line for line in reversed(output.splitlines()) if line.startswith("{")))


def trial_processes(job):
    """Ids of the processes that train, among the descendants of a job."""
    commands = faults.below(job.process.pid).items()
    return [pid for pid, name in commands if name.startswith(("ray::train_alone", "ray::Implicit"))]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_killed_trial_is_counted_and_a_killed_search_goes_on_elsewhere_longer_and_repeats_no_finished_trial(
    start, tiny_mnist, tmp_path
):
    killed = start(*command(os.path.relpath(tiny_mnist, tmp_path), ".", max_epochs=30), cwd=tmp_path)
    killed.wait_for("epoch  1/30")
    os.kill(trial_processes(killed)[0], signal.SIGKILL)
    assert re.search(r"trial-\d+ .* failed after \d+ epochs: \S", killed.wait_for(" failed after "))
    finished = killed.wait_for("finished after").split()[0]
    killed.process.kill()
    run_dir = next(tmp_path.glob("tune-*"))
    assert not (tmp_path / "best.json").exists()
    resumed = start("jobs/tune.py", "--resume", run_dir.name, "--storage-path", tmp_path, "--num-samples", 4)
    assert resumed.wait() == 0, resumed.output
    assert re.search(r"4 trials, [2-3] of them ended earlier", resumed.output)
    assert not re.search(rf"{finished} .* epoch ", resumed.output)
    document = document_of(resumed.output)
    assert set(document) == KEYS
    assert (document["trials"], document["failed"]) == (4, 1)
    assert "/tuned-trial-" in document["best"]["checkpoint"]
    assert document["run_dir"] == str(run_dir)
    assert str(checkpoints.best_checkpoint(Storage.open(tmp_path))) == document["best"]["checkpoint"]


@pytest.mark.slow
def test_ctrl_c_reports_the_best_so_far_and_the_search_can_go_on(start, tiny_mnist, tmp_path):
    job = start(*command(tiny_mnist, tmp_path, max_epochs=500), "--distort", "False")  # digits of 500 epochs, at once
    job.wait_for("epoch  2/500")
    job.process.send_signal(signal.SIGINT)
    assert job.wait() == 130, job.output
    document = document_of(job.output)
    assert set(document) == KEYS
    best = checkpoints.load(document["best"]["checkpoint"])
    assert best.record["metrics"]["photo_score"] == document["best"]["score"]
    assert f"go on with --resume {Path(document['run_dir']).name}" in job.output
    assert "Traceback" not in job.output
    assert "streaming_executor.py" not in job.output, "Ray Data writes between the job's lines"


MISTAKES = [
    (["--max-parameters", "100"], "no network of this space has at most 100 parameters"),
    (["--filters", "64", "8"], "filters from 64 to 8"),
    (["--num-samples", "0"], "num_samples = 0"),
    (["--depths", "3"], "depths = (3,)"),
    (["--max-epochs", "0"], "max_epochs = 0"),
    (["--seeds", "1", "1"], "seeds (1, 1)"),
    (["--resume", "nothing-here"], "no search that can go on"),
    (["--storage-path", "/proc/runs"], "cannot write"),
]


@pytest.mark.parametrize(("arguments", "words"), MISTAKES, ids=lambda value: str(getattr(value, "__name__", value)))
def test_a_mistake_is_one_message_before_ray_starts(arguments, words, refusal):
    assert words in refusal(TuneSettings, tune, arguments)
