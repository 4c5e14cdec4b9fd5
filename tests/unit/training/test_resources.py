"""The number of workers: what the cluster has, what was asked for, and always some cores for the data."""

import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from digits.errors import ConfigurationError
from digits.training.resources import DATA_CPUS, choose_workers, warning_of


@pytest.mark.parametrize(
    ("resources", "num_nodes", "expected"),
    [
        ({"CPU": 2}, 1, 1),
        ({"CPU": 8, "GPU": 1}, 1, 1),
        ({"CPU": 16, "GPU": 4}, 1, 4),
        ({"CPU": 32, "GPU": 4}, 4, (1, 4)),
        ({"CPU": 4}, 2, (1, 2)),
        ({"CPU": 16, "GPU": 1}, 2, 1),
    ],
)
def test_by_default_all_that_the_cluster_has(resources, num_nodes, expected):
    assert choose_workers(None, resources, num_nodes).num_workers == expected


def test_a_gpu_for_each_worker_where_there_are_some():
    assert choose_workers(2, {"CPU": 8, "GPU": 2}, 1).resources_per_worker == {"CPU": 1.0, "GPU": 1}
    assert choose_workers(2, {"CPU": 8}, 1).resources_per_worker == {"CPU": 1.0}


def test_gpu_nodes_may_still_have_to_start():
    head_only = {}
    workers = choose_workers((1, 4), head_only, 0, on_demand_gpus=True)
    assert (workers.num_workers, workers.use_gpu) == ((1, 4), True)
    with pytest.raises(ConfigurationError, match="give for instance --num-workers 1 4"):
        choose_workers(None, head_only, 0, on_demand_gpus=True)
    with pytest.raises(ConfigurationError, match="the least before the most"):
        choose_workers((4, 1), head_only, 0, on_demand_gpus=True)


@settings(deadline=None)
@given(num_nodes=st.integers(1, 16), node_cpus=st.integers(1, 64), least=st.integers(1, 40), more=st.integers(0, 40))
def test_workers_fit_and_leave_cores_for_the_data_on_every_node(num_nodes, node_cpus, least, more):
    try:
        workers = choose_workers((least, least + more), {"CPU": num_nodes * node_cpus}, num_nodes)
    except ConfigurationError:
        assert node_cpus == 1 or least > num_nodes * (node_cpus - 1)
        return
    if num_nodes == 1 and not more:
        used = least * workers.cpus_per_worker
        assert used + DATA_CPUS <= node_cpus or node_cpus == 1 == 2 * used
        return
    # However many nodes are left, Ray fills each up with as many workers as its cores allow.
    per_node = math.floor(node_cpus / workers.cpus_per_worker)
    assert least <= per_node * num_nodes
    assert node_cpus - per_node * workers.cpus_per_worker >= DATA_CPUS


@pytest.mark.parametrize(
    ("requested", "resources", "num_nodes", "reason"),
    [
        (3, {"CPU": 2}, 1, "at most 2: one worker for each CPU"),
        ((2, 8), {"CPU": 8, "GPU": 1}, 1, "one worker for each GPU"),
        ((3, 2), {"CPU": 8}, 1, "the least before the most"),
        (0, {"CPU": 8}, 1, "at least one worker"),
        (None, {}, 0, "at least one node with CPUs"),
        ((1, 2), {"CPU": 2}, 2, "lower --num-workers, or use nodes with more CPUs"),
    ],
)
def test_what_cannot_work_is_refused_with_the_reason(requested, resources, num_nodes, reason):
    with pytest.raises(ConfigurationError, match=reason) as error:
        choose_workers(requested, resources, num_nodes)
    assert len(str(error.value).splitlines()) == 3


@pytest.mark.parametrize(
    ("requested", "resources", "num_nodes", "num_networks", "expected"),
    [
        # One node without GPUs, or with one: one after another, whatever was asked for.
        (None, {"CPU": 16}, 1, 4, [1]),
        (2, {"CPU": 16}, 1, 4, [2]),
        ((1, 4), {"CPU": 16}, 1, 4, [(1, 4)]),
        (None, {"CPU": 16, "GPU": 1}, 1, 4, [1]),
        # One network has all there is.
        (None, {"CPU": 16}, 4, 1, [(1, 4)]),
        (None, {"CPU": 16, "GPU": 4}, 1, 1, [4]),
        (None, {"CPU": 16, "GPU": 4}, 1, 0, [4]),
        # As many groups as there are nodes or GPUs, or networks; each has an equal share.
        (None, {"CPU": 16}, 4, 4, [1, 1, 1, 1]),
        (None, {"CPU": 16}, 4, 9, [1, 1, 1, 1]),
        (None, {"CPU": 16}, 4, 2, [(1, 2), (1, 2)]),
        (None, {"CPU": 16}, 4, 3, [1, 1, 1]),
        (None, {"CPU": 16, "GPU": 4}, 1, 2, [2, 2]),
        (None, {"CPU": 32, "GPU": 8}, 2, 3, [(1, 2), (1, 2), (1, 2)]),
        # A number that was asked for is that of each network.
        (1, {"CPU": 16}, 4, 2, [1, 1]),
        (2, {"CPU": 16}, 4, 3, [2, 2]),
        (3, {"CPU": 16}, 4, 3, [3]),
        (4, {"CPU": 16}, 2, 3, [4]),
        ((2, 4), {"CPU": 16}, 4, 2, [2, 2]),
        ((2, 3), {"CPU": 24}, 6, 2, [(2, 3), (2, 3)]),
        (2, {"CPU": 16, "GPU": 4}, 1, 4, [2, 2]),
        # Two workers divide the cores of a node among them, for one network.
        ((1, 4), {"CPU": 16}, 2, 4, [(1, 2), (1, 2)]),
    ],
)
def test_networks_share_nodes_and_gpus_side_by_side(requested, resources, num_nodes, num_networks, expected):
    groups = choose_workers(requested, resources, num_nodes).side_by_side(num_networks)
    assert [group.num_workers for group in groups] == expected


def test_gpu_nodes_on_demand_are_never_more_than_was_asked_for():
    workers = choose_workers((1, 4), {}, 0, on_demand_gpus=True)
    assert [group.num_workers for group in workers.side_by_side(2)] == [(1, 2), (1, 2)]
    assert [group.num_workers for group in workers.side_by_side(9)] == [1, 1, 1, 1]


@settings(deadline=None)
@given(
    num_nodes=st.integers(1, 8),
    node_cpus=st.integers(2, 16),
    node_gpus=st.integers(0, 8),
    num_networks=st.integers(0, 9),
    requested=st.none() | st.integers(1, 9) | st.tuples(st.integers(1, 9), st.integers(1, 9)).map(sorted).map(tuple),
)
def test_all_groups_fit_into_the_cluster_at_the_same_time(num_nodes, node_cpus, node_gpus, num_networks, requested):
    resources = {"CPU": num_nodes * node_cpus, **({"GPU": num_nodes * node_gpus} if node_gpus else {})}
    try:
        workers = choose_workers(requested, resources, num_nodes)
    except ConfigurationError:
        return
    groups = workers.side_by_side(num_networks)
    assert len(groups) <= max(1, num_networks)
    if len(groups) == 1:
        assert groups == [workers]
        return
    together = sum(group.most for group in groups)
    if workers.use_gpu:
        assert together <= resources["GPU"]
    else:
        assert together <= num_nodes * math.floor(node_cpus / workers.cpus_per_worker)
    least = 1 if requested is None else requested if isinstance(requested, int) else requested[0]
    assert all(group.most >= least for group in groups)


@pytest.mark.parametrize(
    ("requested", "resources", "num_nodes", "words"),
    [
        (None, {"CPU": 8}, 1, None),
        (None, {"CPU": 16}, 2, None),
        (2, {"CPU": 16}, 2, None),
        (4, {"CPU": 8, "GPU": 4}, 1, None),
        (2, {"CPU": 8}, 1, "2 workers share the cores of one node: .* about a fifth faster"),
        ((1, 4), {"CPU": 16}, 2, "4 workers share the cores of 2 nodes: .* about twice as fast"),
    ],
)
def test_workers_that_share_the_cores_of_a_node_are_told_that_one_is_faster(
    requested, resources, num_nodes, words, monkeypatch
):
    monkeypatch.setattr("digits.training.group.shared_sum.platform.machine", lambda: "x86_64")
    warning = warning_of(choose_workers(requested, resources, num_nodes), num_nodes)
    assert (warning is None) if words is None else re.match(words, warning)
