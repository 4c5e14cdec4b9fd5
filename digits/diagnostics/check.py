"""What jobs/check.py does: looks at a cluster, trains a little on one worker and on all, and says what is wrong."""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from digits import cluster, stopping
from digits.commands.console import Unsound, show_table
from digits.commands.settings import StorageSettings
from digits.config import RECIPES
from digits.default_storage import choose_storage
from digits.diagnostics.groups import TOLERANCE, Group, check_group, difference
from digits.diagnostics.nodes import Node, describe_nodes
from digits.diagnostics.task import CheckTask
from digits.errors import require
from digits.storage import Storage
from digits.training.resources import Workers, choose_workers, ends_of


@dataclass(frozen=True, kw_only=True)
class CheckSettings(StorageSettings):
    """Looks at this machine or cluster: what each node is, whether workers see their GPUs and train alike, how fast.

    It takes a minute or two. The last line, one JSON document, is made to be pasted into a report; it holds no token.
    """

    num_workers: int | None = None
    """Workers that train together; left out, one for each GPU, or else for each node."""
    architecture: str = "baseline"
    """The network that is trained, by the name of its recipe."""
    steps: int = 200
    """Training steps on random digits, an even number."""


def check(settings: CheckSettings) -> dict[str, Any]:
    """Look at what the command line names; returns the job's JSON document. Unsound, with it, where something is wrong.

    The folder of the check keeps the document, as check.json, beside what the workers noted.
    """
    started = time.perf_counter()
    require(
        settings.architecture in RECIPES,
        f"architecture = {settings.architecture}",
        f"one of {', '.join(RECIPES)}",
        "leave it out for the smallest",
    )
    require(
        settings.steps >= 40 and settings.steps % 2 == 0,
        f"steps = {settings.steps}",
        "an even number from 40",
        "leave it out for 200",
    )
    if settings.num_workers is not None:
        ends_of(settings.num_workers)
    storage = choose_storage(settings.storage_path)
    storage.check_writable()
    folder = storage.new_folder("check")
    stopping.reached(lambda: "before the check had ended; start it again")
    print(f"check {folder}", flush=True)
    resources, num_nodes = cluster.connect()
    nodes = describe_nodes(storage)
    show_nodes(nodes)
    groups: list[Group] = []
    problems = list(problems_of_nodes(nodes))
    if not any(node.problem or node.storage for node in nodes):
        most = choose_workers(settings.num_workers, resources, num_nodes).most
        groups = train_groups(settings, folder, sorted({1, most}), resources, num_nodes)
        problems += problems_of_groups(groups)
        show_groups(groups)
    document = {
        "check": str(folder),
        "nodes": [node.to_dict() for node in nodes],
        "workers": [note for group in groups[-1:] for note in group.notes],
        "training": document_of(settings, groups),
        "problems": problems,
        "seconds": time.perf_counter() - started,
    }
    (folder / "check.json").write_bytes(json.dumps(document, indent=1).encode())
    for problem in problems:
        print(f"wrong: {problem}", flush=True)
    if problems:
        raise Unsound(document)
    print("Nothing is wrong.", flush=True)
    return document


def train_groups(
    settings: CheckSettings, folder: Storage, counts: Sequence[int], resources: dict[str, float], num_nodes: int
) -> list[Group]:
    """Let groups of so many workers train, one after another, until one fails."""
    groups: list[Group] = []
    for count in counts:
        chosen = choose_workers(count, resources, num_nodes)
        workers = Workers(num_workers=count, use_gpu=chosen.use_gpu, cpus_per_worker=chosen.cpus_per_worker)
        print(f"{settings.steps} steps of {settings.architecture} on {count} {'GPU' if chosen.use_gpu else 'CPU'} "
              f"worker{'s' if count > 1 else ''}", flush=True)  # fmt: skip
        task = CheckTask(
            recipe=RECIPES[settings.architecture], steps=settings.steps, folder=folder / f"workers-{count}"
        )
        groups.append(check_group(task, workers))
        if groups[-1].problem:
            break
    return groups


def problems_of_nodes(nodes: Sequence[Node]) -> Iterator[str]:
    """What is wrong with the nodes, a line each."""
    for node in nodes:
        if node.problem:
            yield f"{node.host} does not answer: {node.problem}"
            continue
        if node.storage:
            remedy = "name a bucket, or a folder that is mounted on all nodes, with --storage-path"
            yield f"{node.host} does not see the storage ({node.storage}); {remedy}"
        if node.ray_cpus > node.usable_cores:
            yield (
                f"Ray counts {node.ray_cpus:g} cores on {node.host}, where {node.usable_cores} may be used; "
                f"start it there with --num-cpus {node.usable_cores}"
            )
    for package in nodes[0].versions or {} if nodes else {}:
        found = {node.versions[package]: node.host for node in reversed(nodes) if node.versions}
        if len(found) > 1:
            told = ", ".join(f"{version or 'none'} on {host}" for version, host in found.items())
            yield f"not one version of {package}: {told}; install the same everywhere"


def problems_of_groups(groups: Sequence[Group]) -> Iterator[str]:
    """What is wrong with the training, a line each."""
    for group in groups:
        if group.problem:
            yield group.problem
            return
        if len({note["weights"] for note in group.notes}) > 1:
            yield f"{len(group.notes)} workers do not end with the same weights"
        own = [(note["host"], gpu) for note in group.notes for gpu in note["reserved"]]
        if len(set(own)) < len(own):
            yield f"workers share a GPU: {', '.join(f'{gpu} on {host}' for host, gpu in own)}"
    if len(groups) > 1 and (apart := difference(groups[0], groups[-1])) > TOLERANCE:
        yield f"one worker and {len(groups[-1].notes)} end with weights that are {apart:.1%} apart"


def document_of(settings: CheckSettings, groups: Sequence[Group]) -> dict[str, Any]:
    """What the JSON document says of the training."""
    ended = [group for group in groups if not group.problem]
    return {
        "architecture": settings.architecture,
        "steps": settings.steps,
        "global_batch_size": RECIPES[settings.architecture].training.global_batch_size,
        "groups": [
            {"workers": len(group.notes), "images_per_second": group.images_per_second, "sum_ms": group.sum_ms}
            for group in ended
        ],
        "difference": difference(ended[0], ended[-1]) if len(ended) > 1 else None,
    }


def show_nodes(nodes: Sequence[Node]) -> None:
    """Print what each node is."""
    rows = [
        [
            node.host,
            f"{node.usable_cores} of {node.machine_cores}, Ray {node.ray_cpus:g}",
            "-" if node.quota is None else f"{node.quota:g}",
            f"{node.memory_gb:g}",
            f"{node.ray_gpus:g}",
            node.gpu_driver or "-",
            "no" if node.storage else "yes",
            node.token,
            " ".join(node.proxies) or "-",
        ]
        for node in nodes
    ]
    columns = ["node", "cores", "quota", "GB", "GPUs in Ray", "driver", "sees storage", "token", "proxy"]
    show_table("Nodes", columns, rows)
    packages = list(next((node.versions for node in nodes if node.versions), {}))
    show_table("Versions", ["node", *packages], [[node.host, *(node.versions or {}).values()] for node in nodes])


def show_groups(groups: Sequence[Group]) -> None:
    """Print what the workers found, and how fast they were."""
    rows = [
        [
            str(note["rank"]),
            note["host"],
            ", ".join(note["reserved"]) or "-",
            ", ".join(note["devices"]) or ("none seen" if note["reserved"] else "-"),
            note.get("weights", "-")[:8],
        ]
        for group in groups[-1:]
        for note in group.notes
    ]
    show_table("Workers", ["worker", "node", "its GPU", "TensorFlow sees", "weights"], rows)
    rates = [
        [str(len(group.notes)), f"{group.images_per_second:,.0f}", f"{group.sum_ms:.2f}"]
        for group in groups
        if group.images_per_second is not None and group.sum_ms is not None
    ]
    show_table("Training", ["workers", "images/s", "ms a sum"], rates)
