"""How Ray Train's workers become one TensorFlow cluster: each one is told the addresses of all, and which it is.

Does what `ray.train.tensorflow.TensorflowTrainer` does, but imports no TensorFlow: that trainer cannot be used without,
so the driver and Ray Train's controller, which only wait for the workers, would each spend time and memory on it
(docs/log.md, "Starting a job").
"""

import json
import os
import socket
from typing import Any

import ray
from ray.train.backend import Backend, BackendConfig


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
