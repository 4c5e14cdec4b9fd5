"""Each process of a job asks its own Ray whether an actor lives, whatever other Rays there are."""

import json
import signal
from pathlib import Path

import pytest

from tests.end_to_end.faults import Job
from tests.end_to_end.neighbours import dashboard_of_another, end, of_ray_start
from tests.end_to_end.ports import free_ports

ASK = """
import json, sys
from digits import cluster
cluster.connect(state_api={state_api})
import ray

@ray.remote(num_cpus=0)
class Child:
    def sees(self, actor):
        from ray.train.v2._internal.state.util import is_actor_alive
        from ray.util.state.exception import RayStateApiException
        try:
            return "alive" if is_actor_alive(actor, timeout=10) else "dead"
        except RayStateApiException:
            return "no answer"

@ray.remote(num_cpus=0)
class Parent:
    def __init__(self):
        # As Ray Train starts what watches over its controller.
        self.child = Child.options(lifetime="detached").remote()
    def sees(self):
        me = ray.get_runtime_context().get_actor_id()
        answer = ray.get(self.child.sees.remote(me))
        ray.kill(self.child)
        return answer

controller = Parent.options(runtime_env={{"env_vars": {{"OF_THE_CONTROLLER": "1"}}}}).remote()
print(json.dumps({{"answer": ray.get(controller.sees.remote())}}), flush=True)
"""
"""What Ray Train does: an actor with its own environment has a detached one that asks whether it lives."""


def answer_in(environment, state_api=False):
    """What a process of a job learns of a living actor of the same job."""
    job = Job("-c", ASK.format(state_api=state_api), env=environment)
    assert job.wait() == 0, job.output
    return json.loads(job.lines[-1])["answer"]


@pytest.mark.slow
def test_nobody_answers_for_another_ray(environment):
    with dashboard_of_another():
        assert answer_in(environment) == "no answer"


@pytest.mark.slow
@pytest.mark.parametrize("auth_mode", ["token", pytest.param("disabled", marks=pytest.mark.long)])
def test_the_own_state_api_answers_where_it_is_asked_for(environment, auth_mode):
    # Whoever has this variable for `ray job submit` does not mean the job's own Ray.
    (port,) = free_ports(1)
    elsewhere = {"RAY_API_SERVER_ADDRESS": f"http://127.0.0.1:{port}"}
    with dashboard_of_another():
        assert answer_in({**environment, **elsewhere, "RAY_AUTH_MODE": auth_mode}, state_api=True) == "alive"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dashboard", "answer"), [pytest.param(True, "alive", marks=pytest.mark.long), (False, "no answer")]
)
def test_a_cluster_that_is_joined_is_asked_itself(environment, dashboard, answer):
    (port,) = free_ports(1)
    head, ready = of_ray_start(environment, "--include-dashboard", dashboard, "--dashboard-port", port)
    try:
        head.wait_for(ready)
        address = Path(environment["RAY_TMPDIR"], "ray", "ray_current_cluster").read_text()
        # Where the head has no dashboard, another Ray may have its own there.
        with dashboard_of_another(port):
            assert answer_in({**environment, "RAY_ADDRESS": address}) == answer
    finally:
        end(head, signal.SIGTERM)


@pytest.mark.slow
def test_a_ray_that_only_runs_here_is_not_joined(environment):
    head, ready = of_ray_start(environment)
    try:
        head.wait_for(ready)
        assert answer_in(environment) == "no answer"
    finally:
        end(head, signal.SIGTERM)


@pytest.mark.slow
def test_the_address_that_a_cluster_left_when_it_died_is_not_asked(environment):
    """What `ray start` notes on the machine stays there after a crash or a restart of the machine."""
    note = Path(environment["RAY_TMPDIR"], "ray", "ray_current_cluster")
    note.parent.mkdir()
    note.write_text("127.0.0.1:1")
    assert answer_in(environment) == "no answer"
