"""How many workers train, on what and in how many groups, given what a cluster has and what was asked for."""

import math
from dataclasses import dataclass, replace

from digits.errors import require
from digits.training.group.shared_sum import can_share

DATA_CPUS = 0.5
"""Fraction of a core that workers leave free on each node, for the tasks of Ray Data that feed them."""
SLACK_CPUS = 0.01
"""Added to the cores of each worker, so that one more worker does not fit on the node."""


@dataclass(frozen=True, kw_only=True)
class Workers:
    """How many workers train, and on what."""

    num_workers: int | tuple[int, int]
    """A fixed number, or the least and the most."""
    use_gpu: bool
    cpus_per_worker: float
    room: int = 1
    """How many workers fit into the cluster at the same time, where several networks may train side by side."""
    fewest: int = 1
    """How many of these train one network, at least."""

    @property
    def most(self) -> int:
        """The largest number of workers."""
        return self.num_workers if isinstance(self.num_workers, int) else self.num_workers[1]

    @property
    def resources_per_worker(self) -> dict[str, float]:
        """What Ray reserves for each worker."""
        return {"CPU": self.cpus_per_worker, **({"GPU": 1} if self.use_gpu else {})}

    def side_by_side(self, num_networks: int) -> list["Workers"]:
        """The workers of each group when so many networks are to be trained: these, or equal shares of the cluster.

        What is left over is there for a node that is lost.
        """
        groups = min(num_networks, self.room // self.fewest)
        if groups < 2:
            return [self]
        share = min(self.most, self.room // groups)
        least = share if isinstance(self.num_workers, int) else self.num_workers[0]
        return [replace(self, num_workers=share if least == share else (least, share))] * groups


def warning_of(workers: Workers, num_nodes: int) -> str | None:
    """What to say of workers that share a node's cores: that one worker is faster, see docs/cluster.md; else None."""
    if workers.use_gpu or workers.most <= num_nodes:
        return None
    nodes = "one node" if num_nodes == 1 else f"{num_nodes} nodes"
    shared = num_nodes == 1 and can_share(workers.most, workers.most)
    return (
        f"{workers.most} workers share the cores of {nodes}: one worker on each node, which uses all its cores, trains "
        f"{'about a fifth faster' if shared else 'about twice as fast'}; leave out --num-workers"
    )


def choose_workers(
    requested: int | tuple[int, int] | None,
    resources: dict[str, float],
    num_nodes: int,
    *,
    on_demand_gpus: bool = False,
) -> Workers:
    """Workers for a cluster with these resources (as `ray.cluster_resources()`), or ConfigurationError.

    By default there is one worker for each GPU or, without GPUs, for each node. On several nodes that is the most, and
    the least is one: training goes on with the nodes that are left when one is lost, and grows when one comes. Cores
    stay free for the tasks of Ray Data, whatever the number of workers: without those no worker would start. With
    `on_demand_gpus` the cluster may still have to start its GPU nodes, so only `requested` counts.
    """
    if on_demand_gpus:
        require(
            requested is not None,
            "GPUs on demand for no stated number of workers",
            "the number of workers to start GPU nodes for, or a range of it",
            "give for instance --num-workers 1 4",
        )
        assert requested is not None
        least, most = ends_of(requested)
        return Workers(num_workers=requested, use_gpu=True, cpus_per_worker=1.0, room=most, fewest=least)
    gpus, cpus = int(resources.get("GPU", 0)), resources.get("CPU", 0)
    limit = gpus or int(cpus)
    require(
        limit >= 1,
        f"a cluster with {cpus:g} CPUs and {gpus} GPUs: none to work on",
        "at least one node with CPUs, beside a head that takes no work",
        "ask for GPU nodes with --on-demand-gpus --num-workers 1 4, or raise min_workers in cluster.yaml",
    )
    fewest = 1 if requested is None else ends_of(requested)[0]
    if requested is None:
        everything = gpus or num_nodes
        requested = (1, everything) if num_nodes > 1 and everything > 1 else everything
    least, most = ends_of(requested)
    require(
        least <= limit,
        f"{least} workers for a cluster with {cpus:g} CPUs and {gpus} GPUs",
        f"at most {limit}: one worker for each {'GPU' if gpus else 'CPU'}",
        "lower --num-workers, or leave it out to use what the cluster has",
    )
    if gpus:
        share = 1.0 if max(most, gpus) < cpus else 0.5
        return Workers(num_workers=requested, use_gpu=True, cpus_per_worker=share, room=gpus, fewest=fewest)
    if num_nodes == 1:
        # One training has all cores; beside another one it would have some.
        share = (1.0 if most < cpus else 0.5) if least == most else share_of_node(least, most, cpus, 1)
        return Workers(num_workers=requested, use_gpu=False, cpus_per_worker=share)
    share = share_of_node(least, most, cpus, num_nodes)
    per_node = int(cpus / num_nodes / share)
    return Workers(
        num_workers=requested,
        use_gpu=False,
        cpus_per_worker=share,
        room=per_node * num_nodes,
        fewest=max(fewest, per_node),  # a node is for one network, whose workers divide its cores among them
    )


def ends_of(requested: int | tuple[int, int]) -> tuple[int, int]:
    """The least and the most of a number of workers, or of a range; ConfigurationError where it cannot be."""
    least, most = (requested, requested) if isinstance(requested, int) else requested
    require(
        1 <= least <= most,
        f"{least} to {most} workers",
        "at least one worker, and the least before the most",
        "give for instance --num-workers 2",
    )
    return least, most


def share_of_node(least: int, most: int, cpus: float, num_nodes: int) -> float:
    """Cores for each worker: so many that only the wanted number of workers fits on a node, with some cores left.

    Nodes come and go, and Ray Train puts as many workers on those present as their cores allow. Each worker therefore
    asks for slightly more than it would get if one more were to fit.
    """
    node_cpus = cpus / num_nodes
    wanted = min(math.ceil(most / num_nodes), max(int(node_cpus), 1))
    shares = {per_node: node_cpus / (per_node + 1) + SLACK_CPUS for per_node in range(wanted, 0, -1)}
    fitting = [per_node for per_node, share in shares.items() if node_cpus - per_node * share >= DATA_CPUS]
    require(
        bool(fitting) and least <= fitting[0] * num_nodes,
        f"{least} to {most} workers on {num_nodes} nodes with {node_cpus:g} CPUs each",
        f"workers that leave {DATA_CPUS} CPUs of their node to the tasks that read and distort digits",
        "lower --num-workers, or use nodes with more CPUs",
    )
    return round(shares[fitting[0]], 4)
