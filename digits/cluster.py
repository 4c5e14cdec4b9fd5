"""How a job finds its cluster: the one it was submitted to, or one that it starts on this machine and ends with."""

import os
import signal
import threading
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from digits.errors import require
from digits.storage import Storage

QUIET = {
    # Read by Ray and TensorFlow when they are imported, and handed on to all workers.
    "TF_CPP_MIN_LOG_LEVEL": "3",
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
for name, value in QUIET.items():
    os.environ.setdefault(name, value)

import ray  # noqa: E402
import ray.data  # noqa: E402
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy  # noqa: E402


def connect() -> tuple[dict[str, float], int]:
    """Connect to the cluster of RAY_ADDRESS (a submitted job has it), or start one here, on loopback.

    Returns what the cluster has, as `ray.cluster_resources()`, and its number of nodes.
    """
    options: dict[str, Any] = {}
    if "RAY_ADDRESS" not in os.environ:
        # Nobody takes this machine back with notice: a process less.
        os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")
        # The job shows its own progress: Ray is up a second sooner, and nothing listens on the dashboard's port.
        options["include_dashboard"] = False
    ray.init(log_to_driver=False, logging_level="ERROR", **options)
    if threading.current_thread() is threading.main_thread():
        # Ends a job as Ctrl-C does. What Ray's own handler raises is lost while the job waits for its workers.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    ray.data.DataContext.get_current().enable_progress_bars = False
    alive = [node for node in ray.nodes() if node["Alive"]]
    return ray.cluster_resources(), sum(1 for node in alive if node["Resources"].get("CPU"))


def check_shared(storage: Storage, files: Sequence[str] = ()) -> None:
    """Raise ConfigurationError where some node of the cluster does not see this storage, or these local files.

    Each node is asked, so a folder that is mounted on all of them passes, and so do several nodes on one machine.
    """
    nodes = {node["NodeID"]: node["NodeManagerHostname"] for node in ray.nodes() if node["Alive"]}
    if len(nodes) == 1:
        return
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
        marker.filesystem.delete_file(marker.path)


@ray.remote(num_cpus=0)
def missing(paths: Sequence[str]) -> list[str]:
    """Those of the paths that do not exist on the node where this runs."""
    return [path for path in paths if not Path(path).exists()]
