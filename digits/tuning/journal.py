"""What became of the trials of a search, noted in its folder as it happens."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray.tune
from ray import cloudpickle
from ray.tune.experiment import Trial

from digits.storage import Storage
from digits.training.driver import cause_of, refuse_machine
from digits.training.state import EpochResult
from digits.tuning import searches
from digits.tuning.searches import Search, TrialResult
from digits.tuning.trial_task import TRIAL


class Journal(ray.tune.Callback):
    """Keeps what trials report, and notes in the search's folder how each one ended; runs in the driver."""

    def __init__(self, search: Search, run_dir: Storage, on_event: Callable[[dict[str, Any]], None]) -> None:
        self.search, self.run_dir, self.on_event = search, run_dir, on_event
        self.reports: dict[int, list[dict[str, Any]]] = {}
        self.ended: dict[int, TrialResult] = {}
        self.noting = threading.Lock()
        self.closed = False

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Ray Tune keeps a pickle of its callbacks, which nobody reads, and storage may hold keys."""
        return {}

    def close(self) -> None:
        """Note nothing more: trials that are torn down have not failed."""
        with self.noting:
            self.closed = True

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """Called by Ray Tune with each report of a trial."""
        if self.closed:
            return
        number = trial.config[TRIAL]["number"]
        self.reports.setdefault(number, []).append(result)
        if not result["diverged"]:
            self.on_event({"event": "epoch", "trial": number, "result": epoch_of(result)})

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Called by Ray Tune when a trial returned or was stopped early."""
        number = trial.config[TRIAL]["number"]
        if number not in self.reports:
            self.end(number, "failed", "it ended without a report")
            return
        last = self.reports[number][-1]
        if last["diverged"]:
            self.end(number, "diverged", f"the loss was not finite in epoch {last['epoch']}")
        else:
            self.end(number, "finished" if last["epoch"] >= self.search.tuning.max_epochs else "stopped early")

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Called by Ray Tune when a trial raised an error or its process died."""
        error = error_of(trial)
        refuse_machine([error])  # ends the search: the trial did not fail, and may be tried elsewhere
        self.end(trial.config[TRIAL]["number"], "failed", cause_of(error))

    def end(self, number: int, status: searches.Status, reason: str = "") -> None:
        """Note how a trial ended."""
        with self.noting:
            if self.closed:
                return
            self.ended[number] = self.result(number, status, reason)
            searches.write_trial(self.run_dir, self.ended[number])
        self.on_event({"event": "ended", "trial": self.ended[number]})

    def result(self, number: int, status: searches.Status, reason: str = "") -> TrialResult:
        """What is known of a trial."""
        reports = self.reports.get(number, [])
        return TrialResult(
            number=number,
            candidate=self.search.candidates[number],
            status=status,
            history=tuple(epoch_of(report) for report in reports if not report["diverged"]),
            epochs_trained=len(reports),
            reason=reason,
            rank_by=self.search.tuning.rank_by,
        )

    def trials(self) -> list[TrialResult]:
        """All trials that ended or at least reported."""
        begun = [self.result(number, "interrupted") for number in self.reports if number not in self.ended]
        return [*self.ended.values(), *begun]


def error_of(trial: Trial) -> BaseException:
    """What ended a trial, from the file in which Ray Tune keeps it; it is read before it is in the search's folder."""
    file = trial.pickled_error_file
    if file is None:
        return RuntimeError("the trial's process died")
    error: BaseException = cloudpickle.loads(Path(file).read_bytes())
    return error


def epoch_of(report: dict[str, Any]) -> EpochResult:
    """The epoch that a report tells of."""
    figures: dict[str, Any] = {name: report[name] for name in EpochResult.__dataclass_fields__}
    return EpochResult(**figures)
