"""The settings of Ray and TensorFlow are made when a job connects, and not by an import."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from digits import cluster

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import json, os
before = dict(os.environ)
from digits import cluster
changed = {name for name in os.environ if os.environ[name] != before.get(name)} & set(cluster.ENVIRONMENT)
print(json.dumps(sorted(changed)))
"""


def test_an_import_sets_nothing():
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, env={}, capture_output=True, check=True)
    assert json.loads(done.stdout) == []


def test_what_the_user_has_set_stays(monkeypatch):
    environment = {"RAY_worker_niceness": "7"}
    monkeypatch.setattr(os, "environ", environment)
    cluster.set_environment()
    assert environment == {**cluster.ENVIRONMENT, "RAY_worker_niceness": "7"}


@pytest.mark.parametrize("failures", [0, 2, 3])
def test_a_ray_that_is_not_up_in_time_is_started_again(monkeypatch, capsys, failures):
    started = []

    def init(**options):
        started.append(options["dashboard_port"])
        if len(started) <= failures:
            raise Exception("The current node timed out during startup. This could happen because ...")

    monkeypatch.setattr(os, "environ", {})
    monkeypatch.setattr(cluster.ray, "init", init)
    if failures < cluster.MAX_STARTS:
        cluster.start_cluster({}, state_api=True)
        assert os.environ[cluster.API_SERVER] == f"http://127.0.0.1:{started[-1]}"
    else:
        with pytest.raises(Exception, match="timed out"):
            cluster.start_cluster({}, state_api=True)
    assert len(started) == min(failures + 1, cluster.MAX_STARTS)
    assert capsys.readouterr().out.count("the machine is busy") == len(started) - 1


def test_what_else_keeps_ray_from_starting_is_told_at_once(monkeypatch):
    started = []

    def init(**options):
        started.append(options)
        raise Exception("no space left")

    monkeypatch.setattr(os, "environ", {})
    monkeypatch.setattr(cluster.ray, "init", init)
    with pytest.raises(Exception, match="no space"):
        cluster.start_cluster({}, state_api=False)
    assert len(started) == 1


@pytest.mark.parametrize("chosen", [None, "0"])
def test_all_processes_of_a_job_compute_with_onednn_unless_the_user_chose(monkeypatch, chosen):
    begun = []

    def init(**options):
        begun.append(options)
        return SimpleNamespace(dashboard_url="", address_info={"gcs_address": "127.0.0.1:1"})

    monkeypatch.setattr(os, "environ", {} if chosen is None else {cluster.ONEDNN: chosen})
    monkeypatch.setattr(cluster.ray, "init", init)
    monkeypatch.setattr(cluster.ray, "shutdown", lambda: None)
    cluster.join_cluster({})
    assert begun[-1]["runtime_env"]["env_vars"][cluster.ONEDNN] == os.environ[cluster.ONEDNN] == (chosen or "1")
