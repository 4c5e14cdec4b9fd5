"""The number of workers: what the cluster has, what was asked for, and always some cores for the data."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from digits.errors import ConfigurationError
from digits.training.resources import DATA_CPUS, choose_workers


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
