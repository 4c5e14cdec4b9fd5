"""How a job finds its cluster: the one it was submitted to, or one that it starts on this machine and ends with."""

import os

QUIET = {
    # Read by Ray and TensorFlow when they are imported, and handed on to all workers.
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    # Reports reach Ray Train's controller when it asks for them: often enough for epochs of a second.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
    # Workers get the same share of a busy machine as any other program; Ray would give them less (nice 15).
    "RAY_worker_niceness": "0",
    # A slow machine may take more than the usual minute to start workers that import TensorFlow.
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "300",
}
for name, value in QUIET.items():
    os.environ.setdefault(name, value)

import ray  # noqa: E402
import ray.data  # noqa: E402


def connect() -> tuple[dict[str, float], int]:
    """Connect to the cluster of RAY_ADDRESS (a submitted job has it), or start one here, on loopback.

    Returns what the cluster has, as `ray.cluster_resources()`, and its number of nodes.
    """
    ray.init(log_to_driver=False, logging_level="ERROR", dashboard_host="127.0.0.1")
    ray.data.DataContext.get_current().enable_progress_bars = False
    alive = [node for node in ray.nodes() if node["Alive"]]
    return ray.cluster_resources(), sum(1 for node in alive if node["Resources"].get("CPU"))
