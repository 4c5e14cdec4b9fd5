"""Early stopping: the decisions of Ray Tune's ASHA, for searches that start and for those that go on."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ray.tune.schedulers import ASHAScheduler

from digits.tuning.budget import TuningConfig
from digits.tuning.early_stopping import EarlyStopping, Rungs
from digits.tuning.trial_task import TRIAL, report_of
from tests.unit.tuning.samples import a_search, a_trial


@dataclass
class AsTuneShowsIt:
    """A trial, as far as schedulers look at it."""

    number: int
    evaluated_params: ClassVar[dict] = {}

    @property
    def trial_id(self):
        return str(self.number)

    @property
    def config(self):
        return {TRIAL: {"number": self.number}}


def by_ray(max_epochs, factor, grace, reports):
    """Whether each (trial, epoch, score) goes on, as Ray Tune's scheduler has it, and never at the last epoch."""
    asha = ASHAScheduler(
        time_attr="epoch", metric="score", mode="max", max_t=max_epochs, grace_period=grace, reduction_factor=factor
    )
    for number in {number for number, _, _ in reports}:
        asha.on_trial_add(None, AsTuneShowsIt(number))
    decisions = [
        asha.on_trial_result(None, AsTuneShowsIt(number), {"epoch": epoch, "score": score})
        for number, epoch, score in reports
    ]
    return [
        decision == asha.CONTINUE or epoch == max_epochs
        for decision, (_, epoch, _) in zip(decisions, reports, strict=True)
    ]


@settings(max_examples=200, deadline=None)
@given(
    max_epochs=st.integers(1, 30),
    factor=st.integers(2, 5),
    grace=st.integers(1, 3),
    trials=st.integers(1, 12),
    seed=st.integers(0, 10**6),
)
def test_decisions_are_those_of_asha(max_epochs, factor, grace, trials, seed):
    rng = np.random.default_rng(seed)
    left = dict.fromkeys(range(trials), 1)
    reports = []
    while left:
        # Trials report in any order; a few scores are equal.
        number = int(rng.choice(list(left)))
        reports.append((number, left[number], round(float(rng.random()), 1)))
        left[number] += 1
        if left[number] > max_epochs:
            del left[number]
    grace = min(grace, max_epochs)
    rungs = Rungs(max_epochs, factor, grace)
    assert [rungs.goes_on(epoch, score) for _, epoch, score in reports] == by_ray(max_epochs, factor, grace, reports)


def test_trials_are_compared_after_epochs_that_grow_by_the_factor():
    assert list(Rungs(12, 4).scores) == [1, 4]
    assert list(Rungs(16, 4).scores) == [1, 4]
    assert list(Rungs(17, 4).scores) == [1, 4, 16]
    assert list(Rungs(1, 4).scores) == []
    assert list(Rungs(12, 3, grace_epochs=2).scores) == [2, 6]


@pytest.mark.parametrize(("number", "goes_on"), [(2, False), (0, True)])
def test_a_poor_trial_stops_by_what_earlier_ones_reached_and_a_known_one_never(number, goes_on):
    search = replace(a_search(), tuning=TuningConfig(num_samples=4, max_epochs=9, grace_epochs=1))
    earlier = [a_trial(1, "finished", 0.8, 0.9)]
    poor = report_of(a_trial(number, "finished", 0.1).history[0], search.tuning.rank_by)
    scheduler = EarlyStopping(search, earlier)
    decision = scheduler.on_trial_result(None, AsTuneShowsIt(number), poor)
    assert decision == (scheduler.CONTINUE if goes_on else scheduler.STOP)
    assert EarlyStopping(search, []).on_trial_result(None, AsTuneShowsIt(number), poor) == scheduler.CONTINUE
