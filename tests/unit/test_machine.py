"""What a process finds of its machine, with the system's files pretended: cores, quotas, the interpreter's path."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
import ray

from digits import cluster, machine
from digits.machine import quoted_interpreter, usable_cores


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch):
    """A machine of eight cores, whatever this one has."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))


@pytest.fixture
def pretended(tmp_path):
    """Writes the system's files below a folder, which it returns."""

    def write(groups, files):
        for name, content in {"proc/self/cgroup": groups, **files}.items():
            file = tmp_path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
        return tmp_path

    return write


V1 = "sys/fs/cgroup/cpu,cpuacct"
CASES = {
    "no quota": ("0::/\n", {"sys/fs/cgroup/cpu.max": "max 100000\n"}, 8),
    "version 2, a container": ("0::/\n", {"sys/fs/cgroup/cpu.max": "200000 100000\n"}, 2),
    "version 2, half a core": ("0::/\n", {"sys/fs/cgroup/cpu.max": "50000 100000\n"}, 1),
    "version 2, two and a half": ("0::/\n", {"sys/fs/cgroup/cpu.max": "250000 100000\n"}, 3),
    "version 2, more than there are": ("0::/\n", {"sys/fs/cgroup/cpu.max": "6400000 100000\n"}, 8),
    "version 2, systemd-run --scope -p CPUQuota=": (
        "0::/system.slice/run-1.scope\n",
        {"sys/fs/cgroup/system.slice/run-1.scope/cpu.max": "300000 100000\n"},
        3,
    ),
    "version 2, the group above has less": (
        "0::/pods/one\n",
        {"sys/fs/cgroup/pods/one/cpu.max": "400000 100000\n", "sys/fs/cgroup/pods/cpu.max": "100000 50000\n"},
        2,
    ),
    "version 1, a container": (
        "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc\n",
        {f"{V1}/cpu.cfs_quota_us": "400000\n", f"{V1}/cpu.cfs_period_us": "100000\n"},
        4,
    ),
    "version 1, a group of its own": (
        "3:cpu,cpuacct:/batch\n",
        {f"{V1}/batch/cpu.cfs_quota_us": "150000\n", f"{V1}/batch/cpu.cfs_period_us": "50000\n"},
        3,
    ),
    "version 1, named cpu alone": (
        "1:cpu:/\n0::/\n",
        {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "200000\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"},
        2,
    ),
    "version 1, no quota": (
        "1:cpu:/\n",
        {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"},
        8,
    ),
    "another controller's file": ("2:cpuset:/\n", {"sys/fs/cgroup/cpuset/cpu.cfs_quota_us": "100000\n"}, 8),
}


@pytest.mark.parametrize("case", CASES)
def test_cores_follow_the_quota_of_a_container(pretended, case):
    groups, files, cores = CASES[case]
    assert usable_cores(pretended(groups, files)) == cores


def test_cores_follow_affinity_below_the_quota(pretended, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {5})
    assert usable_cores(pretended("0::/\n", {"sys/fs/cgroup/cpu.max": "200000 100000\n"})) == 1


def test_a_system_without_affinity_and_control_groups_counts_its_cores(tmp_path, monkeypatch):
    """As macOS is."""
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert usable_cores(tmp_path) == 6
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores(tmp_path) == 1


@pytest.fixture
def quota_of_three(pretended, monkeypatch):
    """This process has a quota of three of its eight cores."""
    root = pretended("0::/\n", {"sys/fs/cgroup/cpu.max": "300000 100000\n"})
    monkeypatch.setattr(machine.usable_cores, "__defaults__", (root,))


def test_an_own_ray_has_as_many_cores_as_may_be_used(quota_of_three, monkeypatch):
    """Ray itself counts none of a quota of half a core, and all of a machine of which the job is pinned to one."""
    started = {}
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.setattr(ray, "init", lambda **options: started.update(options))
    cluster.start_cluster({}, state_api=False)
    assert started["num_cpus"] == 3


def test_a_classifier_computes_in_as_many_threads(quota_of_three, monkeypatch):
    from digits.models import inference

    threads = []
    monkeypatch.setattr(inference, "Classifier", lambda *_, num_threads, **__: threads.append(num_threads))
    inference.build_classifier(
        SimpleNamespace(
            architecture=None, weights={}, temperature=1.0, usual_energy=None, knows_none=False, graphs=None
        )
    )
    assert threads == [3]


THREADS = """
import os, sys
from pathlib import Path
from digits import machine
machine.usable_cores.__defaults__ = (Path(sys.argv[1]),)
os.sched_getaffinity = lambda pid: set(range(8))
import tensorflow as tf
from digits.training import batch_parts
from digits.training.reader import worker

def threads():
    threading = tf.config.threading
    return threading.get_inter_op_parallelism_threads(), threading.get_intra_op_parallelism_threads()

# TensorFlow is prepared once in a process.
for call in sys.argv[2:]:
    if os.fork() == 0:
        eval(call)
        print(*threads(), flush=True)
        os._exit(0)
    assert os.wait()[1] == 0
"""


def test_training_computes_in_as_many_threads(pretended):
    """Three cores: in three parts of a batch, in one that all of them work on, and for the reader."""
    expected = {
        "batch_parts.prepare_tensorflow(1, 48)": "3 1",
        "batch_parts.prepare_tensorflow(1, 16)": "3 3",
        "worker.prepare_tensorflow(1)": "3 3",
    }
    root = pretended("0::/\n", {"sys/fs/cgroup/cpu.max": "300000 100000\n"})
    command = [sys.executable, "-c", THREADS, root, *expected]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stdout.splitlines() == list(expected.values()), done.stderr


def test_no_other_code_counts_cores():
    """Only who tells of a node tells of the whole machine beside it."""
    from tests.unit.test_architecture import MODULES

    counting = {
        module
        for module, path in MODULES.items()
        if any(word in path.read_text() for word in ("sched_getaffinity", "cpu_count"))
    }
    assert counting == {"digits.machine", "digits.diagnostics.nodes"}


@pytest.mark.parametrize(
    ("path", "quoted"),
    [
        ("/home/ann/digits/.venv/bin/python", {}),
        ("/home/ann/my digits/.venv/bin/python", {"py_executable": "'/home/ann/my digits/.venv/bin/python'"}),
    ],
)
def test_a_path_that_a_shell_would_divide_is_quoted(monkeypatch, path, quoted):
    monkeypatch.setattr(sys, "executable", path)
    assert quoted_interpreter() == quoted
    begun = []
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.setattr(ray, "init", lambda **options: begun.append(options.get("runtime_env", {})))
    cluster.start_cluster({}, state_api=False)
    assert begun == [quoted]
