"""Networks side by side: which one reads what, and how much each measure gains.

Answers the article's question with figures: every training of every network reads the same validation digits, corrupted
digits, simulated photos and real photos, from which differences between networks and paths follow.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from digits.evaluation.corruptions import FAMILIES, corrupt
from digits.evaluation.factors import PATHS, FactorResult
from digits.evaluation.metrics import Predict, evaluate, mean_and_deviation

LARGER = {
    ("baseline", "improved"): "more filters and dropout",
    ("improved", "recommended"): "the recommended network and its schedule",
}
"""What an architecture has over another, in words."""


@dataclass(frozen=True, kw_only=True)
class ComparedNetwork:
    """One network with one way of training, trained with one or more seeds."""

    name: str
    """Unique among those compared."""
    architecture: str
    """baseline, improved, recommended, or the name of another one."""
    distorted: bool
    """Whether its training digits were distorted."""
    parameters: int
    """Number of trainable parameters."""
    trainings: tuple[Predict, ...]
    """One prediction function for each seed."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What was measured: accuracies as float arrays, 0..1, whose first axis is the S trainings of a network."""

    networks: tuple[ComparedNetwork, ...]
    """In the order in which they are shown."""
    validation: dict[str, np.ndarray]
    """By network: (S,) on the validation digits."""
    corruptions: dict[str, np.ndarray]
    """By network: (S, 15) on the families of MNIST-C, in the order of corruptions.FAMILIES."""
    factors: dict[str, FactorResult]
    """By factor: what it does to each network on each path."""
    photos: dict[tuple[str, str], np.ndarray] | None
    """By network and path: (S,) on a folder of real photos; None if there is none."""

    @property
    def everyday(self) -> dict[tuple[str, str], np.ndarray] | None:
        """By network and path: (S,) on photos simulated under everyday conditions; None if not measured."""
        result = self.factors.get("everyday")
        return None if result is None else {key: values[:, 0] for key, values in result.accuracy.items()}

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: mean, standard deviation and number of trainings of every figure."""
        return {
            "networks": [
                {"name": network.name, "parameters": network.parameters, "trainings": len(network.trainings)}
                for network in self.networks
            ],
            "validation": {name: over_trainings(values) for name, values in self.validation.items()},
            "corruptions": {
                name: {
                    "mean": over_trainings(values.mean(axis=1)),
                    **{family: over_trainings(values[:, index]) for index, family in enumerate(FAMILIES)},
                }
                for name, values in self.corruptions.items()
            },
            "photos": self.photos
            and [
                {"network": name, "path": path, **over_trainings(values)}
                for (name, path), values in self.photos.items()
            ],
            "gains": [
                {"measure": gain.measure, "before": gain.before, "after": gain.after, "on": gain.on}
                | over_trainings(gain.differences)
                for gain in gains(self)
            ],
            "factors": [result.to_dict() for result in self.factors.values()],
        }


@dataclass(frozen=True, kw_only=True)
class Gain:
    """How much accuracy one measure adds, all else being equal."""

    measure: str
    """Words for readers."""
    before: str
    """Network and path without the measure."""
    after: str
    """Network and path with it."""
    on: str
    """What was read: simulated photos or real photos."""
    differences: np.ndarray
    """float (S,): accuracy after minus before, of each pair of trainings (of the means where S differs)."""


def compare(
    networks: Sequence[ComparedNetwork],
    *,
    validation: tuple[np.ndarray, np.ndarray],
    corruptible: tuple[np.ndarray, np.ndarray],
    factors: Mapping[str, FactorResult],
    photos: Mapping[str, tuple[np.ndarray, np.ndarray]] | None,
    seed: int = 0,
) -> Comparison:
    """Let every training of every network read everything.

    `validation` and `corruptible` are images uint8 (N, 28, 28) and labels int (N,), the latter light on black;
    `photos` holds for each path images uint8 (N, 28, 28) or (N, 28, 28, 3) and labels int (N,); `factors` come from
    factors.measure_factors with the same networks.
    """
    images, labels = corruptible
    corruptions = {network.name: np.zeros((len(network.trainings), len(FAMILIES))) for network in networks}
    for index, family in enumerate(FAMILIES):
        corrupted = corrupt(images, family, seed)
        for network in networks:
            corruptions[network.name][:, index] = accuracies(network, corrupted, labels)
    return Comparison(
        networks=tuple(networks),
        validation={network.name: accuracies(network, *validation) for network in networks},
        corruptions=corruptions,
        factors=dict(factors),
        photos=None
        if photos is None
        else {(network.name, path): accuracies(network, *photos[path]) for network in networks for path in PATHS},
    )


def accuracies(network: ComparedNetwork, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """float (S,): the accuracy of each training of a network."""
    return np.array([evaluate(predict, images, labels).accuracy for predict in network.trainings])


def gains(comparison: Comparison) -> list[Gain]:
    """What each measure adds: more filters and dropout, distortion, preparation; on simulated and real photos."""
    results = {"simulated photos": comparison.everyday, "real photos": comparison.photos}
    return [
        Gain(
            measure=measure,
            before=", ".join(before),
            after=", ".join(after),
            on=on,
            differences=differences(accuracy[before], accuracy[after]),
        )
        for on, accuracy in results.items()
        if accuracy is not None
        for measure, before, after in measures(comparison.networks)
    ]


def measures(networks: Iterable[ComparedNetwork]) -> list[tuple[str, tuple[str, str], tuple[str, str]]]:
    """Pairs of network and path that differ in one measure only, with that measure's name."""
    networks = list(networks)
    found = []
    for before in networks:
        for after in networks:
            step = LARGER.get((before.architecture, after.architecture))
            if step and before.distorted == after.distorted:
                found += [(step, (before.name, path), (after.name, path)) for path in PATHS]
    for before in networks:
        for after in networks:
            if before.architecture == after.architecture and after.distorted and not before.distorted:
                found += [("distortion in training", (before.name, path), (after.name, path)) for path in PATHS]
    return found + [
        ("finding paper and ink", (network.name, PATHS[0]), (network.name, PATHS[1])) for network in networks
    ]


def differences(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """float (S,), `after` minus `before`, seed by seed; of the means, float (1,), where the numbers of seeds differ."""
    return after - before if len(before) == len(after) else np.array([after.mean() - before.mean()])


def over_trainings(values: np.ndarray) -> dict[str, float | int | None]:
    """JSON-ready figures of float (S,): the sample standard deviation is None for one training."""
    mean, deviation = mean_and_deviation(values)
    return {"mean": mean, "deviation": deviation, "trainings": len(values)}
