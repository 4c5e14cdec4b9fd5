"""A cluster that counts a GPU which TensorFlow does not see: jobs refuse at once, and say why and what to do."""

import json
import signal
from pathlib import Path

import pytest

from tests.end_to_end.faults import Job
from tests.end_to_end.neighbours import end, of_ray_start

TINY = {
    "train": ("--architecture", "baseline", "--epochs", "1"),
    "train_reader": ("--epochs", "1", "--squares-per-epoch", "64"),
    "tune": ("--num-samples", "3", "--max-epochs", "1"),
}


@pytest.fixture
def head(environment):
    """The environment of jobs on a cluster with a GPU that is not there."""
    process, ready = of_ray_start(environment, "--num-gpus", 1)
    try:
        process.wait_for(ready)
        address = Path(environment["RAY_TMPDIR"], "ray", "ray_current_cluster").read_text()
        yield {**environment, "RAY_ADDRESS": address, "RAY_AUTH_MODE": "disabled"}
    finally:
        end(process, signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["train", *(pytest.param(name, marks=pytest.mark.long) for name in ("train_reader", "tune"))]
)
def test_a_job_ends_with_the_reason_and_spends_no_retry(head, tiny_mnist, tmp_path, name):
    data = () if name == "train_reader" else ("--data", tiny_mnist)
    job = Job(f"jobs/{name}.py", *TINY[name], *data, "--storage-path", tmp_path, env=head)
    assert job.wait() == 1, job.output
    assert "Traceback" not in job.output
    happened, expected, remedy = job.lines[-3:]
    assert happened.startswith("error: TensorFlow") and "sees no GPU" in happened, job.output
    assert expected.startswith("  expected: ") and remedy.startswith("  what to do: ")
    assert "starting workers again" not in job.output
    # A trial that may be tried elsewhere has not failed.
    assert not list(tmp_path.glob("tune-*/trials/*.json"))


@pytest.mark.long
def test_a_check_finds_it(head, tmp_path):
    job = Job("jobs/check.py", "--storage-path", tmp_path, env=head)
    assert job.wait() == 1, job.output
    document = json.loads(job.lines[-1])
    (problem,) = document["problems"]
    assert "sees no GPU" in problem and "tensorflow[and-cuda]" in problem
    assert document["nodes"][0]["ray_gpus"] == 1
    assert [(worker["reserved"], worker["devices"]) for worker in document["workers"]] == [(["0"], [])]
