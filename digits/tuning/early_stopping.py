"""When a trial of a search is stopped early: asynchronous successive halving over its epochs.

ASHA: Li et al., A System for Massively Parallel Hyperparameter Tuning, MLSys 2020. Ray Tune has it as well, but keeps
what it learnt to itself, while a search that goes on has to know the results of the trials before.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from ray.tune.schedulers import FIFOScheduler

from digits.tuning.searches import Search, TrialResult
from digits.tuning.trial_task import TRIAL


class Rungs:
    """The epochs after which trials are compared, 1, r, r², ... for the reduction factor r, and the scores there.

    The last epoch is none of them: a trial that trained it is done.
    """

    def __init__(self, max_epochs: int, reduction_factor: int) -> None:
        self.reduction_factor = reduction_factor
        self.scores: dict[int, list[float]] = {}
        epoch = 1
        while epoch < max_epochs:
            self.scores[epoch] = []
            epoch *= reduction_factor

    def goes_on(self, epoch: int, score: float) -> bool:
        """Whether a trial with this score after an epoch, from 1, is among the best 1/r that got so far; notes it."""
        if epoch not in self.scores:
            return True
        rivals = self.scores[epoch]
        cutoff = np.percentile(rivals, (1 - 1 / self.reduction_factor) * 100) if rivals else score
        rivals.append(score)
        return bool(score >= cutoff)


class EarlyStopping(FIFOScheduler):
    """Stops poor trials; the published networks count as rivals, but train to the end.

    So a search cannot end below them. It also knows the results of `earlier` trials, which ended before the search
    was interrupted.
    """

    def __init__(self, search: Search, earlier: Sequence[TrialResult]) -> None:
        super().__init__()
        self.search = search
        self.rungs = Rungs(search.tuning.max_epochs, search.tuning.reduction_factor)
        for trial in earlier:
            for epoch in trial.history:
                self.rungs.goes_on(epoch.epoch, epoch.score)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Called by Ray Tune with each report of a trial: whether it goes on."""
        goes_on = self.rungs.goes_on(result["epoch"], result["score"])
        published = self.search.candidates[trial.config[TRIAL]["number"]].published
        return self.CONTINUE if goes_on or published else self.STOP
