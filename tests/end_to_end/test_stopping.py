"""Ctrl-C and SIGTERM, once and twice, at any moment of a job: 130, and in two seconds what was reached."""

import json
import signal
import time
from pathlib import Path

import pytest

from digits.models import checkpoints
from tests.end_to_end.faults import Job
from tests.end_to_end.serve_cluster import processes_of, wait_for

IN_TIME_S = 2.0
"""`ray job stop` kills three seconds after it told a job to end."""
BOTH = [signal.SIGINT, signal.SIGTERM]

PROGRAM = """
import sys, time
from digits import stopping
stopping.listen()
print("listening", flush=True)
if "imports" in sys.argv:
    time.sleep(30)
from digits.commands.console import Interrupted, run_job
from dataclasses import dataclass

@dataclass
class Settings:
    moment: str

def work(settings):
    stopping.reached(lambda: "after 3 of 10 epochs")
    try:
        print("working", flush=True)
        if settings.moment == "deaf":
            # A library that catches everything, or is inside C and looks for no signal.
            for _ in range(40):
                try:
                    time.sleep(0.5)
                except KeyboardInterrupt:
                    pass
        time.sleep(30)
    except KeyboardInterrupt:
        if settings.moment == "slow":
            time.sleep(30)
        raise Interrupted({"best": 1}) from None

def done(settings):
    return {"whole": True}

run_job(Settings, done if "done" in sys.argv else work)
if "done" in sys.argv:
    print("done", flush=True)
    time.sleep(0.5)
"""
"""A job without Ray. Where it stands when the signal comes is its argument."""


@pytest.fixture
def start():
    """Starts the program; ends what a failed test leaves."""
    jobs = []

    def start_program(moment, line):
        arguments = ["--moment", moment] if moment != "imports" else [moment]
        jobs.append(Job("-c", PROGRAM, *arguments))
        jobs[-1].wait_for(line)
        return jobs[-1]

    yield start_program
    for job in jobs:
        job.process.kill()


@pytest.mark.parametrize("number", BOTH)
@pytest.mark.parametrize(
    ("moment", "line", "words"),
    [
        ("imports", "listening", "before anything was begun"),
        ("busy", "working", "after 3 of 10 epochs"),
        ("deaf", "working", "after 3 of 10 epochs"),
    ],
)
def test_a_job_says_in_time_what_it_reached(start, moment, line, words, number):
    job = start(moment, line)
    sent = job.stop(number, group=True)
    job.wait_for(f"stopped by Ctrl-C or SIGTERM {words}")
    assert time.monotonic() - sent < IN_TIME_S
    if moment == "deaf":
        job.stop(number)
    assert job.wait() == 130
    assert job.output.count("stopped by") == 1
    assert "Traceback" not in job.output
    if moment == "busy":
        assert json.loads(job.lines[-1]) == {"best": 1}


@pytest.mark.parametrize(
    "name",
    ["train", *(pytest.param(name, marks=pytest.mark.slow) for name in ("tune", "evaluate", "benchmark", "scale"))],
)
def test_every_job_hears_signals_before_its_imports(name):
    job = Job(f"jobs/{name}.py")
    status = Path("/proc", str(job.process.pid), "status")
    caught = 1 << signal.SIGTERM - 1
    wait_for(lambda: int(status.read_text().split("SigCgt:")[1].split()[0], 16) & caught, "a handler of SIGTERM", 20)
    job.stop(signal.SIGTERM)
    assert job.wait() == 130
    assert job.output == "stopped by Ctrl-C or SIGTERM before anything was begun"


def test_a_second_signal_ends_it_at_once(start):
    job = start("slow", "working")
    job.stop(signal.SIGINT)
    time.sleep(0.5)
    sent = job.stop(signal.SIGTERM)
    assert job.wait() == 130
    assert time.monotonic() - sent < 1
    assert "stopped by Ctrl-C or SIGTERM after 3 of 10 epochs" in job.output


def test_a_job_that_has_its_result_keeps_it(start):
    job = start("done", "done")
    job.stop(signal.SIGINT)
    assert job.wait() == 0
    assert json.loads(job.lines[1]) == {"whole": True}


def stop_in_time(job, folder, number, words, *, group=False, twice=False):
    """Stop a job; it says `words` in time, exits with 130, and leaves no process. Returns its output."""
    sent = job.stop(number, group=group)
    if twice:
        time.sleep(0.4)
        if job.process.poll() is None:
            job.stop(number, group=group)
    line = job.wait_for("stopped by")
    said = time.monotonic() - sent
    assert words in line, job.output
    assert job.wait() == 130, job.output
    ended = time.monotonic() - sent
    print(f"recovery | {number.name}: said after {said:.2f} s, ended after {ended:.2f} s")
    assert said < IN_TIME_S
    assert "Traceback" not in job.output
    wait_for(lambda: not processes_of(folder), "the end of the job's Ray", 10)
    return job.output


@pytest.mark.long
@pytest.mark.timeout(500)
def test_a_training_that_is_stopped_again_and_again_loses_no_epoch(tiny_mnist, tmp_path, ray_folder):
    env = {"RAY_TMPDIR": str(ray_folder)}
    flags = ("--architecture", "baseline", "--batch-size", 20, "--epochs", 8, "--data", tiny_mnist)
    begin = ("jobs/train.py", *flags, "--storage-path", tmp_path)

    starting = Job(*begin, env=env)
    starting.wait_for("of them validate")
    stop_in_time(starting, ray_folder, signal.SIGTERM, "before training began", group=True)

    job = Job(*begin, env=env)
    job.wait_for("epoch  2/8")
    stop_in_time(job, ray_folder, signal.SIGINT, "of 8 epochs; go on with --resume train-baseline-", group=True)
    # What was stopped before it began left its name, an empty folder.
    (run,) = (path.parent.name for path in tmp_path.glob("*/run.json"))
    resume = ("jobs/train.py", "--storage-path", tmp_path, "--resume", run)

    job = Job(*resume, env=env)
    job.wait_for("epoch  5/8")
    stop_in_time(job, ray_folder, signal.SIGTERM, f"of 8 epochs; go on with --resume {run}", twice=True)

    finishing = Job(*resume, env=env)
    finishing.wait_for("epoch  8/8")
    stop_in_time(finishing, ray_folder, signal.SIGINT, f"after 8 of 8 epochs; go on with --resume {run}")

    job = Job(*resume, env=env)
    assert job.wait() == 0, job.output
    assert json.loads(job.lines[-1])["runs"][0]["epochs"] == 8
    last = checkpoints.load(str(tmp_path / run / "baseline-seed0-epoch008"))
    assert [epoch["epoch"] for epoch in last.record["history"]] == list(range(1, 9))


@pytest.mark.long
@pytest.mark.timeout(500)
def test_a_stopped_search_reports_its_best_and_goes_on(tiny_mnist, tmp_path, ray_folder):
    env = {"RAY_TMPDIR": str(ray_folder)}
    settings = ("--num-samples", 3, "--train-images", 100, "--validation-images", 40, "--batch-size", 20)
    flags = (*settings, "--distortion", 1, "--max-epochs", 300, "--epochs", 300, "--data", tiny_mnist)
    job = Job("jobs/tune.py", *flags, "--storage-path", tmp_path, env=env)
    job.wait_for("epoch  2/300")
    output = stop_in_time(job, ray_folder, signal.SIGTERM, "of 3 trials; go on with --resume tune-")
    document = json.loads(job.lines[-1])
    assert "Trials, the best first" in output
    assert Path(document["best"]["checkpoint"]).is_dir()
    assert document["failed"] == 0
    assert not list(tmp_path.glob("tune-*/trials/*.json")), "trials that were torn down are noted as ended"

    run = Path(document["run_dir"]).name
    job = Job("jobs/tune.py", "--resume", run, "--storage-path", tmp_path, env=env)
    job.wait_for(" trials, 0 of them ended earlier")
    job.wait_for("epoch ")
    stop_in_time(job, ray_folder, signal.SIGINT, f"of 3 trials; go on with --resume {run}", group=True, twice=True)
