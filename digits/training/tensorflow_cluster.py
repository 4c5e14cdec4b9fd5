"""A group of Ray Train's workers that is one TensorFlow cluster: each is told the addresses of all, and which it is.

The backend does what that of `ray.train.tensorflow.TensorflowTrainer` does, but imports no TensorFlow: that trainer
cannot be used without, so the driver and Ray Train's controller, which only wait for the workers, would each spend time
and memory on it (docs/log.md, "Starting a job").
"""

import json
import os
import socket
from collections.abc import Callable, Sequence
from typing import Any

import ray
import ray.train
from ray.train.backend import Backend, BackendConfig
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

from digits.storage import Storage
from digits.training.resources import Workers

RESIZE_INTERVAL_S = 60.0
"""How often a group with a range of workers looks for nodes to grow onto, in seconds."""


def worker_group(
    train_worker: Callable[[dict[str, Any]], None],
    config: dict[str, Any],
    workers: Workers,
    folder: Storage,
    *,
    callbacks: Sequence[ray.train.UserCallback],
    failures: ray.train.FailureConfig | None = None,
    spread: bool = False,
) -> DataParallelTrainer:
    """A group of workers, started by `fit`, each of which calls `train_worker` with `config`.

    What they report lies in `folder`. A failure ends the group unless `failures` says otherwise. With `spread` the
    workers are put on different nodes as far as there are some, else on as few as possible.
    """
    return DataParallelTrainer(
        train_worker,
        train_loop_config=config,
        backend_config=TensorflowConfig(),
        scaling_config=ray.train.ScalingConfig(
            num_workers=workers.num_workers,
            use_gpu=workers.use_gpu,
            resources_per_worker=workers.resources_per_worker,
            placement_strategy="SPREAD" if spread else "PACK",
            elastic_resize_monitor_interval_s=RESIZE_INTERVAL_S,
        ),
        run_config=ray.train.RunConfig(
            name=folder.name,
            storage_path=folder.parent.path,
            storage_filesystem=folder.filesystem,
            failure_config=failures,
            callbacks=list(callbacks),
        ),
    )


class TensorflowBackend(Backend):
    """Sets TF_CONFIG in every worker, from which `tf.distribute.MultiWorkerMirroredStrategy` knows its cluster."""

    def on_start(self, worker_group: Any, backend_config: BackendConfig) -> None:
        """Called by Ray Train when the workers' processes are there, before they train."""
        addresses = worker_group.execute(free_address)
        ray.get(
            [
                worker_group.execute_single_async(rank, join_cluster, addresses, rank)
                for rank in range(len(worker_group))
            ]
        )


class TensorflowConfig(BackendConfig):
    """Names the backend to Ray Train."""

    @property
    def backend_cls(self) -> type[Backend]:
        """The backend's class."""
        return TensorflowBackend


def free_address() -> str:
    """host:port on which a worker, where this runs, can listen."""
    host = ray.util.get_node_ip_address()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.bind(("", 0))
        port = listener.getsockname()[1]
    return f"[{host}]:{port}" if family == socket.AF_INET6 else f"{host}:{port}"


def join_cluster(addresses: list[str], rank: int) -> None:
    """Tell TensorFlow in this process of the workers' addresses, and which of them it is."""
    cluster = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": rank}}
    os.environ["TF_CONFIG"] = json.dumps(cluster)
