"""A group of Ray Train's workers that is one TensorFlow cluster: each is told the addresses of all, and which it is.

`ray.train.tensorflow.TensorflowTrainer` does the same but imports TensorFlow wherever it is used, so that the driver
and Ray Train's controller, which only wait for the workers, would spend time and memory on it; this backend does not
(docs/log.md, "Starting a job").
"""

import json
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ray
from ray.train import UserCallback
from ray.train.backend import Backend, BackendConfig
from ray.train.v2._internal.callbacks.datasets import DatasetsCallback
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback
from ray.train.v2.api.config import FailureConfig, RunConfig, ScalingConfig
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

from digits.storage import Storage
from digits.training.resources import Workers

RESIZE_INTERVAL_S = 60.0
"""How often a group with a range of workers looks for nodes to grow onto, in seconds."""
NO_PROXY = "no_grpc_proxy"
"""Names, for gRPC alone, hosts to which it does not go through the proxy of `http_proxy`; no_proxy counts without it.

TensorFlow's workers speak gRPC, also each to itself; through a proxy their first sum hangs for ever. What reads a
bucket keeps its proxy.
"""


def worker_group(
    train_worker: Callable[[dict[str, Any]], None],
    config: dict[str, Any],
    workers: Workers,
    folder: Storage,
    *,
    callbacks: Sequence[UserCallback],
    failures: FailureConfig | None = None,
    spread: bool = False,
    job_goes_on: bool = False,
) -> DataParallelTrainer:
    """A group of workers, started by `fit`, each of which calls `train_worker` with `config`.

    What they report lies in `folder`. A failure ends the group unless `failures` says otherwise. With `spread` the
    workers are put on as many nodes as possible, without it on as few as possible. `job_goes_on` says that the job may
    outlive a group that was killed, whose cores somebody then has to free.
    """
    return (DataParallelTrainer if job_goes_on else Group)(
        train_worker,
        train_loop_config=config,
        backend_config=TensorflowConfig(),
        scaling_config=ScalingConfig(
            num_workers=workers.num_workers,
            use_gpu=workers.use_gpu,
            resources_per_worker=workers.resources_per_worker,
            placement_strategy="SPREAD" if spread else "PACK",
            elastic_resize_monitor_interval_s=RESIZE_INTERVAL_S,
        ),
        run_config=RunConfig(  # type: ignore[arg-type]  # the signature names the class that this one replaced
            name=folder.name,
            storage_path=folder.parent.path,
            storage_filesystem=folder.filesystem,
            failure_config=failures,
            callbacks=list(callbacks),
        ),
    )


class Group(DataParallelTrainer):
    """Ray Train's trainer without two processes that workers would wait for (docs/log.md, "Two processes fewer").

    One hands out Ray Data's datasets, of which it is given none. The other one takes the workers' cores back where
    Ray Train's controller is killed; here the job ends then, and they are free.
    """

    def _create_default_callbacks(self) -> list[Any]:
        unused = (DatasetsCallback, PlacementGroupCleanerCallback)
        return [each for each in super()._create_default_callbacks() if not isinstance(each, unused)]


HOLDERS: list[socket.socket] = []
"""Sockets of this process that keep ports free, see `free_address`."""


class TensorflowBackend(Backend):
    """Sets TF_CONFIG in every worker, which tells `tf.distribute.MultiWorkerMirroredStrategy` its cluster."""

    def on_start(self, worker_group: Any, backend_config: BackendConfig) -> None:
        """Called by Ray Train when the workers' processes have started, before they train."""
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
    """host:port on which a worker, where this runs, can listen; kept free for it as long as this process lives."""
    host = ray.util.get_node_ip_address()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    holder = socket.socket(family, socket.SOCK_STREAM)
    # TensorFlow, which asks for the same, may listen there beside a socket that does not; the system gives the port to
    # nobody else meanwhile. Importing TensorFlow takes seconds.
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind(("", 0))
    HOLDERS.append(holder)
    port = holder.getsockname()[1]
    return f"[{host}]:{port}" if family == socket.AF_INET6 else f"{host}:{port}"


def join_cluster(addresses: list[str], rank: int) -> None:
    """Tell TensorFlow in this process of the workers' addresses, to be reached without a proxy, and which it is."""
    cluster = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": rank}}
    os.environ["TF_CONFIG"] = json.dumps(cluster)
    hosts = [address.rpartition(":")[0].strip("[]") for address in addresses]
    os.environ[NO_PROXY] = ",".join(dict.fromkeys([*reached_directly(os.environ), *hosts]))


def reached_directly(environment: Mapping[str, str]) -> list[str]:
    """The hosts to which gRPC does not go through a proxy, as it reads the environment; also those of NO_PROXY."""
    found = [environment[name] for name in (NO_PROXY, "no_proxy", "NO_PROXY") if name in environment]
    return [host for host in (host.strip() for host in found[0].split(",")) if host] if found else []
