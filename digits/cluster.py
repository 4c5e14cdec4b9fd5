"""How a job finds its cluster: the one it was submitted to, or one that it starts on this machine and ends with."""

import logging
import os
import socket
import threading
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ray
import ray.data
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from digits import stopping
from digits.errors import require
from digits.machine import quoted_interpreter, usable_cores
from digits.storage import Storage
from digits.tokens import use_private_token

ONEDNN = "TF_ENABLE_ONEDNN_OPTS"
ENVIRONMENT = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    # TensorFlow takes oneDNN by itself only on processors made for it; others, too, train faster with it.
    ONEDNN: "1",
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    # Reports reach Ray Train's controller when it asks for them: often enough for epochs of a second.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
    # Workers get the same share of a busy machine as any other program; Ray would give them less (nice 15).
    "RAY_worker_niceness": "0",
    # How long a group of workers waits for its nodes before it looks again at what the cluster has: a node may just
    # have been lost, and its cores still be counted.
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "30",
}
"""What Ray and TensorFlow find in this process, and in those of a cluster that it starts, unless the user chose."""
API_SERVER = "RAY_API_SERVER_ADDRESS"
"""Names, in each process of a job, the cluster that Ray's state API is asked about there.

In a search whose trials have several workers Ray Train asks each second whether a trial's controller lives
(PlacementGroupCleaner), and takes its workers away when the answer is no. Without this variable it asks whichever Ray
of this machine it finds; and a cluster without a dashboard gives 127.0.0.1:8265 as the address of its own, where the
dashboard of another Ray answers: it knows no such actor.
"""
LEAVING = threading.Lock()
"""Held while the connection is closed: twice at once it cannot be."""
MAX_STARTS = 3
TIMED_OUT = "timed out during startup"
"""Part of what Ray raises where one of its processes was not up in time, 15 to 30 seconds that nothing can change."""
NO_API_SERVER = "http://127.0.0.1:1"
"""An address at which nobody answers (port 1 is reserved): an unanswered question is no reason to end anything."""


def connect(*, state_api: bool = False) -> tuple[dict[str, float], int]:
    """Connect to the cluster of RAY_ADDRESS (a submitted job has it), or start one here, on loopback.

    A cluster that is started here gets a state API, as part of its dashboard, only where it is asked for: it is up a
    second later then. Returns what the cluster has, as `ray.cluster_resources()`, and its number of nodes.
    """
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if os.environ.get("RAY_ADDRESS", "local") in ("", "local"):
        start_cluster(options, state_api=state_api)
    else:
        join_cluster(options)
    stopping.restore()
    # The job shows its own progress; Ray Data would write at length of each dataset.
    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    alive = [node for node in ray.nodes() if node["Alive"]]
    return ray.cluster_resources(), sum(1 for node in alive if node["Resources"].get("CPU"))


def leave() -> None:
    """Leave the cluster; one that was started here ends, which takes a second or two of waiting for its processes."""
    with LEAVING:
        ray.shutdown()


def leave_meanwhile() -> None:
    """Leave the cluster beside whatever the job still does; the process waits for it when it ends."""
    threading.Thread(target=leave).start()


def set_environment() -> None:
    """Set what ENVIRONMENT names where the user has not."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def start_cluster(options: dict[str, Any], *, state_api: bool) -> None:
    """Start a cluster on this machine that ends with this process; every process of it gets this one's environment.

    It is a cluster of this job's own, also beside one of `ray start`, and its token stays in its processes.
    """
    set_environment()
    # Nobody takes this machine back with notice: a process less.
    os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")
    os.environ[API_SERVER] = NO_API_SERVER
    if state_api:
        options["dashboard_port"] = free_port()
        os.environ[API_SERVER] = f"http://127.0.0.1:{options['dashboard_port']}"
    use_private_token()
    options.setdefault("num_cpus", usable_cores())
    if interpreter := quoted_interpreter():
        options["runtime_env"] = interpreter
    # The job shows its own progress: without a dashboard, nothing listens on its port.
    options |= {"address": "local", "include_dashboard": state_api}
    for left in reversed(range(MAX_STARTS)):
        try:
            ray.init(**options)
        except Exception as error:  # Ray raises no narrower one
            if TIMED_OUT not in str(error) or not left:
                raise
            print("Ray did not start in half a minute: the machine is busy; trying again", flush=True)
            if state_api:
                options["dashboard_port"] = free_port()
                os.environ[API_SERVER] = f"http://127.0.0.1:{options['dashboard_port']}"
        else:
            return


def join_cluster(options: dict[str, Any]) -> None:
    """Connect to the cluster of RAY_ADDRESS, whose processes have an environment of their own."""
    set_environment()
    context: Any = ray.init(**options)  # its type does not tell the address
    os.environ[API_SERVER] = context.address_info["gcs_address"] if context.dashboard_url else NO_API_SERVER
    # What all processes of a job get has to be known when it connects.
    ray.shutdown()
    names = (API_SERVER, ONEDNN)
    ray.init(runtime_env={"env_vars": {name: os.environ[name] for name in names}, **quoted_interpreter()}, **options)


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def check_shared(storage: Storage, files: Sequence[str] = (), *, alone: bool = False) -> None:
    """Raise ConfigurationError where some node of the cluster does not see this storage, or these local files.

    Each node is asked, so a folder that is mounted on all of them passes, and so do several nodes on one machine.
    Nobody named a folder that is there for one node `alone`.
    """
    nodes = {node["NodeID"]: node["NodeManagerHostname"] for node in ray.nodes() if node["Alive"]}
    if len(nodes) == 1:
        return
    require(
        not alone,
        f"no storage is named, on a cluster of {len(nodes)} nodes; {storage} is a folder of one of them",
        "storage that every node of the cluster sees",
        "name a bucket, such as --storage-path s3://bucket/runs, or a folder that is mounted on all nodes",
    )
    marker = storage / f".node-test-{uuid.uuid4().hex}"
    marker.write_bytes(b"digits")
    try:
        wanted = [*([marker.path] if storage.is_local else []), *files]
        answers = {
            node: missing.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote(wanted)
            for node in nodes
        }
        for node, answer in answers.items():
            absent = [str(storage) if path == marker.path else path for path in ray.get(answer)]
            require(
                not absent,
                f"{absent[0] if absent else ''} is not there on {nodes[node]}, one of {len(nodes)} nodes",
                "storage and data that every node of the cluster sees: workers write checkpoints and read digits",
                "name a bucket, such as --storage-path s3://bucket/runs, or a folder that is mounted on all nodes",
            )
    finally:
        marker.delete()


@ray.remote(num_cpus=0)
def missing(paths: Sequence[str]) -> list[str]:
    """Those of the paths that do not exist on the node where this runs."""
    return [path for path in paths if not Path(path).exists()]
