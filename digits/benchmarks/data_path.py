"""The data path: Ray Data against NumPy in one process, and training with distortion against training without."""

from typing import Any

from digits.benchmarks.measuring import Figure, Results, Scope, alternate, run_side
from digits.benchmarks.training import epoch_ends, train_job
from digits.machine import usable_cores

NETWORK = "improved"
"""Network of the trainings with and without distortion."""
DISTORTED_EPOCHS = 4


def measure(scope: Scope, results: Results) -> None:
    """Compare reading, inverting and splitting all digits, once Ray is up."""
    document = run_side("digits.benchmarks.sides.read_digits", scope.data_folder(), scope.repeats).document
    results.figures += [
        Figure(
            part="data",
            what="read, decode, invert, split",
            unit="s",
            against="NumPy in one process",
            ours=document["ours"],
            theirs=document["theirs"],
            better="lower",
            aim=1.5,
        ),
        Figure(
            part="data",
            what="first batch",
            unit="s",
            against="3 s",
            ours=document["first_batch"],
            theirs=[3.0] * scope.repeats,
            better="lower",
            aim=1.0,
            remark=f"the very first one, while Ray starts its tasks: {document['first_batch_ever']:.2f} s",
        ),
    ]


def epoch_seconds(scope: Scope, *arguments: object) -> float:
    """Mean seconds of an epoch of a training, the first epoch not counted."""
    ends = epoch_ends(train_job(scope, NETWORK, 0, DISTORTED_EPOCHS, *arguments))
    return (ends[-1][0] - ends[0][0]) / (len(ends) - 1)


def measure_distortion(scope: Scope, results: Results) -> None:
    """Compare training with distortion to the best that the cores could do if both kinds of work were spread evenly.

    If an epoch without distortion takes T on all cores, and distortion takes D core-seconds, that is T + D / cores.
    """
    cores = usable_cores()
    originals = 0.8 * (scope.digits or 70_000)
    turns = alternate(
        {
            "with": lambda turn: epoch_seconds(scope, "--distort"),
            "without": lambda turn: epoch_seconds(scope, "--no-distort"),
            "cost": lambda turn: run_side(
                "digits.benchmarks.sides.distort_digits", scope.data_folder(), min(scope.digits or 4_000, 4_000)
            ).document["core_seconds"],
        },
        scope.repeats,
    )
    at_best = [plain + cost * originals / cores for plain, cost in zip(turns["without"], turns["cost"], strict=True)]
    common: dict[str, Any] = {"part": "distortion", "unit": "images/s", "better": "higher"}
    rates = {name: [2 * originals / seconds for seconds in turns[name]] for name in ("with", "without")}
    results.figures += [
        Figure(
            **common,
            what=f"{NETWORK}, training with distortion",
            against="training, and distortion spread over all cores",
            ours=rates["with"],
            theirs=[2 * originals / seconds for seconds in at_best],
            aim=0.8,
            remark="theirs: images / (seconds without distortion + core-seconds of distortion / cores)",
        ),
        Figure(
            **common,
            what=f"{NETWORK}, training with distortion, its cores not counted",
            against="training without",
            ours=rates["with"],
            theirs=rates["without"],
        ),
    ]
    results.details["distortion, core-milliseconds a digit"] = [1000 * cost for cost in turns["cost"]]
