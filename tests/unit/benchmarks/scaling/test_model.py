"""The model of scale, against closed forms and limits that hold for any machine."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from digits.benchmarks.scaling import model
from digits.benchmarks.scaling.figures import epoch_time
from digits.benchmarks.scaling.model import Link, WorkerSpeed, Workload
from digits.config import BASELINE, IMPROVED
from digits.errors import ConfigurationError

LINK = Link(bytes_per_s=1e9, latency_s=1e-4)
FAST_LINK = Link(bytes_per_s=1e30, latency_s=0)
SPEED = WorkerSpeed(step_s=1e-3, image_s=1e-4)
WORKLOAD = Workload(images=112_000, gradient_bytes=1_000_000, speed=SPEED)


def test_one_worker_needs_its_steps_and_nothing_else():
    assert model.epoch_s(WORKLOAD, 1, 32, LINK) == pytest.approx(3500 * (1e-3 + 32e-4))


def test_gradients_are_four_bytes_a_parameter():
    assert model.gradient_bytes(BASELINE) == 4 * 8_922
    assert model.gradient_bytes(IMPROVED) == 4 * 131_466


def test_the_sum_takes_no_time_alone_and_the_better_of_ring_and_tree_together():
    assert model.all_reduce_s(10**6, 1, LINK) == 0
    # Two workers: a ring sends half the bytes twice.
    assert model.all_reduce_s(10**6, 2, LINK) == pytest.approx(1e-3 + 2e-4)
    # Many bytes, many workers: a ring, which sends each byte about twice, however many there are.
    assert model.all_reduce_s(10**10, 256, LINK) == pytest.approx(20, rel=0.01)
    # Few bytes: a tree, eight levels up and down.
    assert model.all_reduce_s(0, 256, LINK) == pytest.approx(16e-4)


def test_without_fixed_costs_and_with_a_free_network_every_worker_counts_in_full():
    ideal = Workload(images=25_600, gradient_bytes=10**6, speed=WorkerSpeed(step_s=0, image_s=1e-4))
    for n in model.NUM_WORKERS:
        assert model.speed_up(ideal, n, 256, FAST_LINK) == pytest.approx(n)
    assert model.stops_paying(ideal, 256, FAST_LINK) == 256


def test_a_fixed_cost_bounds_the_speed_up_as_amdahl_says():
    free = Workload(images=256_000, gradient_bytes=0, speed=WorkerSpeed(step_s=1e-3, image_s=1e-3))
    fixed = 1 / 257
    for n in model.NUM_WORKERS:
        assert model.speed_up(free, n, 256, FAST_LINK) == pytest.approx(1 / (fixed + (1 - fixed) / n))


def test_more_workers_than_digits_in_a_batch_gain_nothing():
    assert model.speed_up(WORKLOAD, 64, 32, LINK) < model.speed_up(WORKLOAD, 32, 32, LINK)


def test_one_worker_always_pays_and_a_slow_network_stops_it_there():
    assert model.stops_paying(WORKLOAD, 32, Link(bytes_per_s=1e3, latency_s=1)) == 1


@settings(deadline=None)
@given(st.floats(1e-6, 1e-1), st.floats(1e-7, 1e-2))
def test_the_fit_finds_the_line_that_made_the_times(step_s, image_s):
    sizes = [1, 8, 32, 128, 512]
    speed = model.fit_speed(sizes, [step_s + size * image_s for size in sizes])
    np.testing.assert_allclose([speed.step_s, speed.image_s], [step_s, image_s], rtol=1e-6, atol=1e-12)


def test_the_fit_is_never_negative_and_needs_two_sizes():
    speed = model.fit_speed([10, 20], [1.0, 3.0])
    assert speed.step_s == 0 < speed.image_s
    with pytest.raises(ConfigurationError, match="at least two different batch sizes"):
        model.fit_speed([32, 32], [1.0, 1.1])


def test_the_picture_is_a_png():
    measured = {"baseline": {1: 14.0, 2: 9.0}}
    picture = epoch_time({"baseline": WORKLOAD}, {"baseline": 32}, LINK, measured=measured, title="x")
    assert picture.startswith(b"\x89PNG")
