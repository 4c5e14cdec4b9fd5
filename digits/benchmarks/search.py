"""A search by jobs/tune.py, including early stopping and the full training of the winner, against full trainings.

The other side is one full training by jobs/train.py times the number of trials: what it costs to train each in full.
"""

from digits.benchmarks.measuring import Figure, Results, Scope, alternate, run_job_script


def folders(scope: Scope) -> list[object]:
    """Flags that both jobs share."""
    return ["--data", scope.data_folder(), "--storage-path", scope.folder / "runs"]


def search_seconds(scope: Scope, trials: int) -> float:
    """Seconds of a whole search."""
    epochs = ["--epochs", scope.epochs_of("recommended"), "--max-epochs", min(9, scope.epochs_of("recommended"))]
    return run_job_script("tune", "--num-samples", trials, *epochs, *folders(scope)).seconds


def training_seconds(scope: Scope) -> float:
    """Seconds of one full training of the recommended network."""
    epochs = ["--epochs", scope.epochs_of("recommended")]
    return run_job_script("train", "--architecture", "recommended", *epochs, *folders(scope)).seconds


def measure(scope: Scope, results: Results) -> None:
    """Compare a search with as many full trainings as it has trials."""
    turns = alternate(
        {
            "search": lambda turn: search_seconds(scope, scope.trials),
            "training": lambda turn: training_seconds(scope),
        },
        scope.repeats,
    )
    results.figures.append(
        Figure(
            part="search",
            what=f"search of {scope.trials} trials",
            unit="s",
            against=f"{scope.trials} full trainings one after another",
            ours=turns["search"],
            theirs=[scope.trials * seconds for seconds in turns["training"]],
            better="lower",
            aim=0.4,
            remark="theirs: one full training, times the number of trials",
        )
    )
