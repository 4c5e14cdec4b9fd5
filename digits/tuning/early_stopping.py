"""When a trial of a search is stopped early: asynchronous successive halving over its epochs.

ASHA: Li et al., A System for Massively Parallel Hyperparameter Tuning, MLSys 2020. Ray Tune has it as well, but a
resumed search must know the results of earlier trials, and Ray Tune's scheduler cannot be told them.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from ray.tune.schedulers import FIFOScheduler

from digits.tuning.budget import score_of
from digits.tuning.searches import Search, TrialResult
from digits.tuning.trial_task import TRIAL


class Rungs:
    """The epochs after which trials are compared, and the scores there.

    They are g, gr, gr², ... for g epochs of grace and the reduction factor r. The last epoch is not among them: a trial
    that has trained it is done.
    """

    def __init__(self, max_epochs: int, reduction_factor: int, grace_epochs: int = 1) -> None:
        self.reduction_factor = reduction_factor
        self.scores: dict[int, list[float]] = {}
        epoch = grace_epochs
        while epoch < max_epochs:
            self.scores[epoch] = []
            epoch *= reduction_factor

    def goes_on(self, epoch: int, score: float) -> bool:
        """Note a trial's score after an epoch, from 1; returns whether it is among the best 1/r there so far."""
        if epoch not in self.scores:
            return True
        rivals = self.scores[epoch]
        cutoff = np.percentile(rivals, (1 - 1 / self.reduction_factor) * 100) if rivals else score
        rivals.append(score)
        return bool(score >= cutoff)


class EarlyStopping(FIFOScheduler):
    """Stops poor trials. The known networks count as rivals but train to the end: no search ends below them.

    `earlier` are the trials that had ended before the search was interrupted or extended; they count as rivals too.
    """

    def __init__(self, search: Search, earlier: Sequence[TrialResult]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Ray types it in part
        self.search = search
        tuning = search.tuning
        self.rungs = Rungs(tuning.max_epochs, tuning.reduction_factor, tuning.grace_epochs)
        for trial in earlier:
            for epoch in trial.history:
                self.rungs.goes_on(epoch.epoch, score_of(epoch, tuning.rank_by))

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Called by Ray Tune with each report of a trial: whether it goes on."""
        goes_on = self.rungs.goes_on(result["epoch"], result["score"])
        known = self.search.candidates[trial.config[TRIAL]["number"]].known
        return self.CONTINUE if goes_on or known else self.STOP
