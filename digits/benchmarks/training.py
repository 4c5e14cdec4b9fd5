"""Whole training jobs: jobs/train.py, including Ray's start, against a plain Keras script, in time and in memory.

Both sides train the same network with the same seeds on the same digits; a turn is a seed.
"""

import statistics
import sys
from pathlib import Path

from digits.benchmarks.measuring import (
    NETWORKS,
    Figure,
    FinishedProcess,
    Results,
    Scope,
    alternate,
    run_job_script,
    run_process,
    run_side,
)
from digits.models import checkpoints
from digits.storage import Storage
from digits.training.runs import Run

AIMS = {"baseline": 0.5, "improved": 0.6}
IMPORT_TENSORFLOW = [sys.executable, "-c", "import tensorflow; print('{}')"]


def train_job(scope: Scope, network: str, seed: int, epochs: int, *arguments: object) -> FinishedProcess:
    """One network trained by jobs/train.py."""
    settings = ["--architecture", network, "--seeds", seed, "--epochs", epochs]
    folders = ["--data", scope.data_folder(), "--storage-path", scope.folder / "runs"]
    return run_job_script("train", *settings, *folders, *arguments)


def epoch_ends(finished: FinishedProcess) -> list[tuple[float, float]]:
    """For each epoch of jobs/train.py's one network: its end, in seconds from the process's start, and its duration.

    An epoch ends when its checkpoint is complete: the record is written last.
    """
    run_dir = Storage.open(finished.document["run_dir"])
    (network,) = Run.read(run_dir).networks
    epochs = [run_dir / network.epoch_name(epoch + 1) for epoch in range(network.recipe.training.epochs)]
    ends = [Path((epoch / checkpoints.RECORD).path).stat().st_mtime - finished.started_at for epoch in epochs]
    history = checkpoints.load(str(epochs[-1])).record["history"]
    return [(end, epoch["seconds"]) for end, epoch in zip(ends, history, strict=True)]


def start_up(finished: FinishedProcess) -> float:
    """Seconds from the start of jobs/train.py to its first epoch."""
    end, seconds = epoch_ends(finished)[0]
    return end - seconds


def measure(scope: Scope, results: Results) -> None:
    """Compare whole jobs of both networks; note their memory, and what a bare import of TensorFlow takes."""
    for network in NETWORKS:
        epochs = scope.epochs_of(network)

        def theirs(seed: int, network: str = network, epochs: int = epochs) -> FinishedProcess:
            output = scope.folder / "plain" / f"{network}.keras"
            return run_side("digits.benchmarks.sides.plain_keras", scope.data_folder(), network, epochs, seed, output)

        def ours(seed: int, network: str = network, epochs: int = epochs) -> FinishedProcess:
            return train_job(scope, network, seed, epochs)

        runs = alternate({"ours": ours, "theirs": theirs}, scope.repeats)
        accuracies = {
            "ours": [run.document["runs"][0]["validation_accuracy"] for run in runs["ours"]],
            "theirs": [run.document["validation_accuracy"] for run in runs["theirs"]],
        }
        against = "plain Keras script, model.fit"
        results.figures += [
            Figure(
                part="training",
                what=f"whole job, {network}, {epochs} epochs",
                unit="s",
                against=against,
                **{side: [run.seconds for run in runs[side]] for side in runs},
                better="lower",
                aim=AIMS[network],
                remark="from the start of the process to its end; a turn is a seed",
            ),
            Figure(
                part="training",
                what=f"validation accuracy, {network}, best epoch",
                unit="of digits",
                against=against,
                **accuracies,
                better="higher",
                aim=0.999,
                remark="the aim allows for the spread between seeds",
            ),
        ]
        began = [next(at for at, line in run.lines if line == "first epoch begins") for run in runs["theirs"]]
        results.figures.append(
            Figure(
                part="training",
                what=f"start-up to first epoch, {network}",
                unit="s",
                against=against,
                ours=[start_up(run) for run in runs["ours"]],
                theirs=began,
                better="lower",
            )
        )
        results.details.setdefault("peak memory, MB", {})[f"training, {network}"] = {
            "ours": megabytes(runs["ours"]),
            "theirs": megabytes(runs["theirs"]),
        }
    bare = [run_process(IMPORT_TENSORFLOW, {}) for _ in range(scope.repeats)]
    results.details["peak memory, MB"]["bare import tensorflow"] = megabytes(bare)
    results.details["bare import tensorflow, s"] = statistics.median(run.seconds for run in bare)


def megabytes(runs: list[FinishedProcess]) -> dict[str, int]:
    """Peak memory in MB of each kind of process, the largest of all turns; the largest first."""
    titles = {title for run in runs for title in run.peak_bytes}
    peaks = {title: max(run.peak_bytes.get(title, 0) for run in runs) // 1_000_000 for title in titles}
    return dict(sorted(peaks.items(), key=lambda item: -item[1]))
