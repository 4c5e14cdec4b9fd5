"""Evaluation: digits.models.inference against Keras' model.predict, on digits in memory, after a warm-up."""

from functools import partial

from digits.benchmarks.measuring import NETWORKS, Figure, Results, Scope, alternate, run_side

KERAS_BATCH_SIZES = (32, 1024)
"""Keras' own default, and a large one."""
AIMS = {32: 0.5, 1024: None}


def measure(scope: Scope, results: Results) -> None:
    """Compare the seconds for 28,000 digits with both networks."""
    num_digits = min(28_000, 2 * (scope.digits or 14_000))
    for network in NETWORKS:

        def seconds(side: str, batch_size: int, turn: int, network: str = network) -> float:
            arguments = (side, scope.checkpoint(network), scope.data_folder(), num_digits, batch_size)
            return run_side("digits.benchmarks.sides.predict", *arguments).document["seconds"]

        turns = alternate(
            {
                "ours": partial(seconds, "ours", 0),
                **{str(size): partial(seconds, "keras", size) for size in KERAS_BATCH_SIZES},
            },
            scope.repeats,
        )
        results.figures += [
            Figure(
                part="evaluation",
                what=f"{num_digits:,} digits, {network}",
                unit="s",
                against=f"model.predict, batches of {size}",
                ours=turns["ours"],
                theirs=turns[str(size)],
                better="lower",
                aim=AIMS[size],
            )
            for size in KERAS_BATCH_SIZES
        ]
