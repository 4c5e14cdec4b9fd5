"""What jobs print while they train or search: a line for each event, a bar on a terminal, and how far they have got."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

from digits.commands.console import ProgressLine
from digits.training.runs import Run
from digits.training.state import EpochResult
from digits.tuning.budget import score_of
from digits.tuning.candidate import Candidate, shape_of
from digits.tuning.searches import Search, TrialResult, trial_name


class Progress(ABC):
    """Prints what a driver tells, event by event, and knows what has been reached when the job is stopped.

    A bar stands below the lines while the block runs. What `check` raises, called with each event, ends the work.
    """

    WORK: ClassVar[str]
    """What a person calls the work."""

    def __init__(self, check: Callable[[], None]) -> None:
        self.check = check
        self.line = ProgressLine()
        self.begun = False

    def __enter__(self) -> Self:
        self.line.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.line.__exit__(*error)

    def __call__(self, event: dict[str, Any]) -> None:
        """Show one event."""
        self.check()
        match event:
            case {"event": "begun"}:
                self.begun = True
            case {"event": "damaged", "message": message}:
                self.line.print(f"a checkpoint is damaged, the one before it is used instead: {message}")
            case {"event": "failure", "causes": causes}:
                of = f"{event['network']}: " if "network" in event else ""
                for rank, cause in causes.items():
                    self.line.print(f"{of}worker {rank} failed: {cause}")
                self.line.print(f"{of}starting workers again from the last checkpoint")
            case _:
                self.show(event)

    def reached(self, name: str) -> str:
        """What is said of a job that is stopped now; `name` is what --resume takes."""
        if not self.begun:
            return f"before {self.WORK} began"
        return f"after {self.done()}; go on with --resume {name}"

    @abstractmethod
    def show(self, event: dict[str, Any]) -> None:
        """Show an event that only this kind of work has."""

    @abstractmethod
    def done(self) -> str:
        """How much of how much is done."""


class TrainingProgress(Progress):
    """What `digits.training.driver.train` tells: one aligned line for each epoch.

    The bar is that of an epoch; where several networks train side by side, that of all epochs of the run.
    """

    WORK = "training"

    def __init__(self, run: Run, check: Callable[[], None]) -> None:
        super().__init__(check)
        self.width = max(len(network.name) for network in run.networks)
        self.epochs = {network.name: network.recipe.training.epochs for network in run.networks}
        self.epochs_done = dict.fromkeys(self.epochs, 0)
        self.fractions: dict[str, float] = {}
        """How much of its present epoch is trained of each network that is in training."""

    def done(self) -> str:
        """How many epochs of all networks are done."""
        return f"{sum(self.epochs_done.values())} of {sum(self.epochs.values())} epochs"

    def show(self, event: dict[str, Any]) -> None:
        """Show one event."""
        match event:
            case {"event": "progress", "network": network, "epoch": epoch, "fraction": fraction}:
                self.fractions[network] = fraction
                self.draw(f"{network:<{self.width}} epoch {epoch:2}", fraction)
            case {"event": "epoch", "network": network, "epochs": epochs, "result": result}:
                self.epochs_done[network] = result.epoch
                self.fractions[network] = 0.0
                if result.epoch == epochs:
                    del self.fractions[network]
                self.line.print(f"{network:<{self.width}} {epoch_line(result, epochs)}")
            case {"event": "resumed", "network": network, "epoch": epoch}:
                self.epochs_done[network] = epoch
                self.line.print(f"{network:<{self.width}} goes on after epoch {epoch}")

    def draw(self, text: str, fraction: float) -> None:
        """Draw the bar for a fraction of one network's epoch, or for all of several."""
        if len(self.fractions) > 1:
            done = sum(self.epochs_done.values()) + sum(self.fractions.values())
            text, fraction = f"{len(self.fractions)} networks, {self.done()}", done / sum(self.epochs.values())
        self.line.show(text, fraction)


class SearchProgress(Progress):
    """What `digits.tuning.driver.search_networks` tells: a line for each epoch, and one when a trial ends."""

    WORK = "the search"

    def __init__(self, search: Search, earlier: Sequence[TrialResult], check: Callable[[], None]) -> None:
        super().__init__(check)
        self.search = search
        self.ended = len(earlier)
        self.best = max((trial.score for trial in earlier if trial.score is not None), default=0.0)

    def done(self) -> str:
        """How many trials have ended."""
        return f"{self.ended} of {len(self.search.candidates)} trials"

    def show(self, event: dict[str, Any]) -> None:
        """Show one event."""
        match event:
            case {"event": "prepared", "done": done, "total": total}:
                self.line.show("preparing digits", done / total)
                return
            case {"event": "epoch", "trial": number, "result": result}:
                self.best = max(self.best, score_of(result, self.search.tuning.rank_by))
                self.line.print(self.row(number, result))
            case {"event": "ended", "trial": trial}:
                self.ended += 1
                self.line.print(f"{trial.name} {describe(trial.candidate):<44} {outcome(trial)}")
        total = len(self.search.candidates)
        self.line.show(f"{self.ended}/{total} trials", self.ended / total)

    def row(self, number: int, result: EpochResult) -> str:
        """One epoch of one trial."""
        return (
            f"{trial_name(number)} {describe(self.search.candidates[number]):<44}"
            f" {place(result, self.search.tuning.max_epochs)} | loss {result.train_loss:.4f}"
            f" | validation {result.validation_accuracy:6.2%} | photos {result.photo_score:6.2%}"
            f" | score {score_of(result, self.search.tuning.rank_by):6.2%} | best {self.best:6.2%}"
            f" | {result.seconds:5.1f} s"
        )


def epoch_line(result: EpochResult, epochs: int) -> str:
    """One epoch in one line, aligned with the lines of other epochs."""
    return (
        f"{place(result, epochs)} | train loss {result.train_loss:.4f} acc {result.train_accuracy:6.2%}"
        f" | validation loss {result.validation_loss:.4f} acc {result.validation_accuracy:6.2%}"
        f" photos {result.photo_score:6.2%} | {result.seconds:5.1f} s | {result.images_per_second:7,.0f} images/s"
    )


def place(result: EpochResult, epochs: int) -> str:
    """Which epoch of how many."""
    return f"epoch {result.epoch:2}/{epochs}"


def describe(candidate: Candidate) -> str:
    """A candidate in a few words."""
    network = candidate.architecture
    dense = f"dense {network.dense_units}" if network.dense_units else "no dense"
    name = f"{candidate.name} " if candidate.known else ""
    return f"{name}{shape_of(network)} {dense} rate {candidate.learning_rate:.2g}"


def outcome(trial: TrialResult) -> str:
    """How a trial ended, in words."""
    after = f"{trial.status} after {trial.epochs_trained} epochs"
    return f"{after}: {trial.reason}" if trial.reason else after
