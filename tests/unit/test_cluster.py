"""The settings of Ray and TensorFlow are made when a job connects, and not by an import."""

import json
import os
import subprocess
import sys
from pathlib import Path

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
