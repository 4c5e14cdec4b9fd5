"""The job that looks at a cluster: on a Ray of its own, submitted to a cluster, and where a GPU is missing."""

import json
import re
from pathlib import Path

import pytest

from tests.end_to_end.faults import Job
from tests.end_to_end.job_head import Head
from tests.end_to_end.serve_cluster import wait_for


@pytest.mark.slow
def test_a_check_of_this_machine_trains_alike_on_one_worker_and_on_two(environment, tmp_path):
    proxy = {"http_proxy": "http://user:password@127.0.0.1:9"}
    job = Job("jobs/check.py", "--num-workers", "2", "--storage-path", tmp_path, env={**environment, **proxy})
    assert job.wait() == 0, job.output
    assert "cudart_stub" not in job.output and "Traceback" not in job.output
    document = json.loads(job.lines[-1])
    assert document["problems"] == [] and "Nothing is wrong." in job.lines
    (node,) = document["nodes"]
    assert node["usable_cores"] == node["ray_cpus"] >= 1 and node["storage"] == ""
    assert set(node["versions"]) == {"python", "digits", "ray", "tensorflow", "keras", "numpy"}
    assert "http_proxy" in node["proxies"] and "password" not in job.output
    one, two = document["training"]["groups"]
    assert (one["workers"], two["workers"]) == (1, 2)
    assert min(one["images_per_second"], two["images_per_second"], two["sum_ms"]) > 0
    assert document["training"]["steps"] == 200 and 0 <= document["training"]["difference"] < 1e-3
    assert [worker["rank"] for worker in document["workers"]] == [0, 1]
    assert len({worker["weights"] for worker in document["workers"]}) == 1
    assert json.loads(Path(document["check"], "check.json").read_text()) == document
    assert not list(tmp_path.glob(".node-test*"))


@pytest.mark.long
def test_a_check_is_submitted_to_a_cluster(ray_folder, tmp_path):
    head = Head(ray_folder)

    def answers():
        assert head.process.poll() is None, (ray_folder / "head.log").read_text()
        return head.ray("job", "list").returncode == 0

    try:
        arguments = ("python", "jobs/check.py", "--steps", "40", "--storage-path", tmp_path)
        wait_for(answers, "the start of the head", 200)
        done = head.submit(*arguments)
        assert done.returncode == 0, done.stdout
        (line,) = re.findall(r"^\{.*\}$", done.stdout, re.MULTILINE)
        document = json.loads(line)
        assert document["problems"] == [] and len(document["nodes"]) == 1
        token = (ray_folder / "home" / ".ray" / "auth_token").read_text().strip()
        assert token not in done.stdout and document["nodes"][0]["token"] == "~/.ray/auth_token"
    finally:
        head.stop()
