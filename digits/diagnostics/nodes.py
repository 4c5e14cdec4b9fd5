"""What each node of a cluster is, asked of the node itself: cores, quota, GPUs, versions, storage, token, proxy."""

import os
import platform
import socket
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil
import ray
from ray.exceptions import GetTimeoutError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from digits import __version__
from digits.machine import quotas, usable_cores
from digits.storage import Storage

PACKAGES = ("ray", "tensorflow", "keras", "numpy")
"""Packages that should have one version on all nodes, beside Python and our own."""
PROXIES = ("http_proxy", "https_proxy", "grpc_proxy", "all_proxy", "no_proxy", "no_grpc_proxy")
DRIVER = Path("/proc/driver/nvidia/version")
"""Where NVIDIA's driver for Linux tells its version."""
ANSWER_S = 60.0
"""How long a node may take to answer, in seconds."""


@dataclass(frozen=True, kw_only=True)
class Node:
    """One node of the cluster, by its own account; without one where it does not answer."""

    host: str
    ray_cpus: float
    """Cores that Ray counts."""
    ray_gpus: float
    """GPUs that Ray counts."""
    problem: str = ""
    """Why the node did not answer."""
    usable_cores: int = 0
    """Cores that a process may use there, see `digits.machine`."""
    machine_cores: int = 0
    """Cores of the whole machine."""
    quota: float | None = None
    """The smallest quota of processor time, in cores."""
    memory_gb: float = 0.0
    """Memory of the machine, in 10^9 bytes."""
    gpu_driver: str | None = None
    """Version of NVIDIA's driver."""
    versions: Mapping[str, str] | None = None
    """Of Python, digits and PACKAGES; empty for one that is missing."""
    storage: str = ""
    """Why the storage is not seen there; empty where it is."""
    token: str = ""
    """Where Ray's token comes from, or that there is none; never the token itself."""
    proxies: tuple[str, ...] = ()
    """Names of the variables that name a proxy, or what needs none."""

    def to_dict(self) -> dict[str, Any]:
        """What the JSON document says of it."""
        return asdict(self)


def describe_nodes(storage: Storage) -> list[Node]:
    """Every living node of the cluster; each looks for a file that is written into `storage` for it, and removed."""
    marker = storage / f".node-test-{uuid.uuid4().hex}"
    marker.write_bytes(b"digits")
    try:
        asked = []
        for node in ray.nodes():
            if node["Alive"]:
                here = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
                asked.append((node, describe.options(scheduling_strategy=here).remote(marker)))
        return [answered(node, answer) for node, answer in asked]
    finally:
        marker.delete()


def answered(node: Mapping[str, Any], answer: ray.ObjectRef[dict[str, Any]]) -> Node:
    """A node with what it answered."""
    facts: dict[str, Any]
    try:
        facts = ray.get(answer, timeout=ANSWER_S)
    except GetTimeoutError:
        facts = {"problem": f"no answer within {ANSWER_S:.0f} s"}
    except RayError as error:
        facts = {"problem": str(error).strip().splitlines()[-1]}
    counted = node["Resources"]
    return Node(
        **{"host": node["NodeManagerHostname"], **facts},
        ray_cpus=counted.get("CPU", 0.0),
        ray_gpus=counted.get("GPU", 0.0),
    )


@ray.remote(num_cpus=0)
def describe(marker: Storage) -> dict[str, Any]:
    """The fields of Node that only the node where this runs can tell."""
    return {
        "host": socket.gethostname(),
        "usable_cores": usable_cores(),
        "machine_cores": os.cpu_count() or 1,
        "quota": min(quotas(), default=None),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "gpu_driver": driver_version(),
        "versions": versions(),
        "storage": why_unseen(marker),
        "token": token_source(os.environ),
        "proxies": tuple(name for name in os.environ if name.lower() in PROXIES and os.environ[name]),
    }


def driver_version(file: Path = DRIVER) -> str | None:
    """The version of NVIDIA's driver; None where there is none."""
    try:
        words = file.read_text().split("\n")[0].split()
    except OSError:
        return None
    return next((word for word in words if word[0].isdigit() and "." in word), "unknown")


def versions() -> dict[str, str]:
    """Versions of Python, of our own code and of the packages it needs."""
    found = {"python": platform.python_version(), "digits": __version__}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = ""
    return found


def why_unseen(marker: Storage) -> str:
    """Why a file of the storage cannot be read here; empty where it can."""
    try:
        marker.read_bytes()
    except OSError as error:
        return f"{type(error).__name__}: {error}"
    return ""


def token_source(environment: Mapping[str, str]) -> str:
    """Where this process has Ray's token from, or why it has none."""
    if environment.get("RAY_AUTH_MODE", "").lower() == "disabled":
        return "disabled"
    named = next((name for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH") if environment.get(name)), None)
    at_home = os.path.expanduser("~/.ray/auth_token")  # noqa: PTH111  not Path.home(), which raises without a home
    return named or ("~/.ray/auth_token" if Path(at_home).is_file() else "none")
