"""GPUs: what is asked of TensorFlow where it has some, and what happens where Ray counts one and TensorFlow sees none.

There is no GPU here: TensorFlow's list of devices is pretended, and Ray's count of them is set by hand.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import ray
import tensorflow as tf

from digits.errors import MachineError
from digits.training import batch_parts
from digits.training.reader import worker

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def devices(monkeypatch):
    """TensorFlow with two GPUs; what it is told of them."""
    told = []
    gpus = [SimpleNamespace(name=f"/physical_device:GPU:{number}", device_type="GPU") for number in (0, 1)]
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: list(gpus) if kind == "GPU" else [])
    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", lambda gpu, on: told.append((gpu.name, on)))
    for name in ("set_inter_op_parallelism_threads", "set_intra_op_parallelism_threads"):
        monkeypatch.setattr(tf.config.threading, name, lambda threads: None)
    return SimpleNamespace(gpus=gpus, told=told)


@pytest.mark.parametrize(
    "prepare",
    [lambda: batch_parts.prepare_tensorflow(1, 512), lambda: worker.prepare_tensorflow(1)],
    ids=["digits", "pages"],
)
def test_memory_is_taken_as_it_is_needed_on_every_gpu(devices, monkeypatch, prepare):
    monkeypatch.setattr(tf.distribute, "MultiWorkerMirroredStrategy", lambda: None)
    prepare()
    assert devices.told == [("/physical_device:GPU:0", True), ("/physical_device:GPU:1", True)]


def test_a_batch_is_not_divided_on_a_gpu(devices):
    assert batch_parts.prepare_tensorflow(1, 512) == 1
    devices.gpus.clear()
    assert batch_parts.parts_of(512, 4) == 16


@pytest.fixture
def reserved(monkeypatch):
    """Sets which GPUs Ray reserved for this process."""

    def reserve(*gpus):
        monkeypatch.setattr(ray, "is_initialized", lambda: True)
        monkeypatch.setattr(ray, "get_gpu_ids", lambda: list(gpus))
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", ",".join(map(str, gpus)))

    return reserve


def test_a_worker_without_its_gpu_refuses_with_what_was_looked_for_and_how_to_mend_it(devices, reserved):
    reserved(3)
    devices.gpus.clear()
    with pytest.raises(MachineError) as refused:
        batch_parts.take_gpus()
    happened, _, remedy = str(refused.value).split("\n")
    assert f"TensorFlow {tf.__version__}" in happened and "sees no GPU" in happened
    assert "Ray reserved GPU 3" in happened and "CUDA_VISIBLE_DEVICES=3" in happened
    assert "nvidia-smi" in remedy and "driver" in remedy and "tensorflow[and-cuda]" in remedy


@pytest.mark.parametrize("gpus", [(), (0,)])
def test_a_worker_that_sees_what_it_was_given_says_nothing(devices, reserved, gpus):
    reserved(*gpus)
    devices.gpus[:] = devices.gpus[: len(gpus)]
    assert batch_parts.take_gpus() == len(gpus)


PLACED = """
import json, sys
import ray
from digits import cluster
from digits.storage import Storage
from digits.training.resources import choose_workers
from digits.training.group.tensorflow_cluster import worker_group

def where(config):
    import os
    import ray, ray.train
    rank = ray.train.get_context().get_world_rank()
    seen = {"gpus": ray.get_gpu_ids(), "visible": os.environ["CUDA_VISIBLE_DEVICES"]}
    (config["folder"] / f"{rank}.json").write_bytes(json.dumps(seen).encode())

cluster.start_cluster({"num_cpus": 4, "num_gpus": 3, "log_to_driver": False}, state_api=False)
folder = Storage.open(sys.argv[1]) / "run"
requested = json.loads(sys.argv[2])
workers = choose_workers(requested, ray.cluster_resources(), 1)
worker_group(where, {"folder": folder}, workers, folder, callbacks=[], spread=not workers.use_gpu).fit()
"""


@pytest.mark.slow
@pytest.mark.parametrize(("requested", "number"), [(None, 3), pytest.param(2, 2, marks=pytest.mark.long)])
def test_each_worker_has_a_gpu_of_its_own(tmp_path, requested, number):
    """Three GPUs of one node, as Ray counts them."""
    command = [sys.executable, "-c", PLACED, str(tmp_path), json.dumps(requested)]
    env = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    placed = [json.loads((tmp_path / "run" / f"{rank}.json").read_text()) for rank in range(number)]
    assert sorted(tmp_path.glob("run/*.json")) == [tmp_path / "run" / f"{rank}.json" for rank in range(number)]
    assert [len(one["gpus"]) for one in placed] == [1] * number
    assert len({gpu for one in placed for gpu in one["gpus"]}) == number
    assert [one["visible"] for one in placed] == [str(one["gpus"][0]) for one in placed]
