"""Which networks a search may try: the bounds, the best known one, and random ones that fit. Knows no Ray."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice, product
from typing import TypeVar

import numpy as np

from digits.config import RECIPES, Architecture
from digits.errors import require
from digits.tuning.candidate import Candidate, Schedule, multiplications, stages_of

FEWEST_DENSE_UNITS = 16
"""The smallest dense layer that is drawn: fewer units than digits would only be a bottleneck."""
WITHOUT_DENSE_LAYER = 0.25
"""Fraction of the drawn networks that have no dense layer, where the bounds allow that."""
NARROWING = 0.98
"""Each time a network is too large, sizes are drawn from ranges that are smaller by this factor."""
VARIED = 1 / 3
"""Probability that a varied network differs from the best known one in any one hyper-parameter."""
TWICE, RATE_STEP = math.log(2), 0.2
"""How far: sizes and the learning rate are halved to doubled, dropout rates differ by at most this."""
TRAINING = RECIPES["recommended"].training
"""How the best known network is trained."""
Value = TypeVar("Value")


@dataclass(frozen=True, kw_only=True)
class SearchSpace:
    """What a search may vary: bounds, both included, of numbers, and the values of what is chosen among a few."""

    filters: tuple[int, int] = (8, 160)
    """Filters of each convolution; on a logarithmic scale."""
    dropouts: tuple[float, float] = (0.0, 0.5)
    """Dropout rate after each convolution."""
    depths: tuple[int, ...] = (1, 2)
    """Convolutions before the first pooling, and before the second one; one more follows."""
    poolings: tuple[int, ...] = (2, 3)
    """Pooling layers, 2 or 3; the third one follows the last convolution."""
    dense_units: tuple[int, int] = (0, 256)
    """Units of the dense layer, on a logarithmic scale from 16 on; 0 leaves the layer out."""
    dense_dropout: tuple[float, float] = (0.0, 0.5)
    """Dropout rate after the dense layer."""
    learning_rate: tuple[float, float] = (3e-4, 1e-2)
    """Adam's learning rate, at its peak; on a logarithmic scale."""
    learning_rate_schedule: tuple[Schedule, ...] = ("cosine", "constant")
    """constant; or cosine: a short linear warm-up, then half a cosine that reaches zero at the end of training."""
    batch_size: tuple[int, ...] = (64, 128, 256)
    """Digits in each step, over all workers together."""
    distortion: tuple[float, ...] = (0.7, 1.0, 1.3)
    """Strengths of the distortion; the digits of all trials are made once for each, and lie in memory."""
    max_parameters: int | None = None
    """Largest number of trainable parameters."""
    max_multiplications: int | None = 16_000_000
    """Most multiplications of one prediction, which bound what a trial costs: the recommended network has 7,600,576."""
    start: tuple[str, ...] = ("recommended",)
    """Recipes that are tried first, to their last epoch, so that no search ends below them; those that fit."""
    near: float = 0.5
    """Fraction of the other networks that are varied from the first; the rest are drawn from the whole space."""

    def __post_init__(self) -> None:
        # JSON brings lists; the value stays hashable and comparable.
        for name, value in vars(self).items():
            object.__setattr__(self, name, tuple(value) if isinstance(value, list) else value)
        self._check_bounds()
        self._check_choices()
        smallest, fewest = self.smallest().num_parameters(), min(map(multiplications, self._smallest_of_each_kind()))
        require(
            any(map(self.fits, self._smallest_of_each_kind())),
            f"no network of this space has at most {self.max_parameters} parameters and {self.max_multiplications} "
            f"multiplications: the smallest has {smallest:,}, and the least is {fewest:,}",
            f"--max-parameters of at least {smallest:,}, --max-multiplications of at least {fewest:,}",
            "raise them, or lower the least values of --filters and --dense-units",
        )

    def _check_bounds(self) -> None:
        """ConfigurationError for bounds between which nothing lies, or nothing that can be."""
        lowest = {"filters": 1, "dropouts": 0, "dense_units": 0, "dense_dropout": 0, "learning_rate": 0}
        for name, bound in lowest.items():
            least, greatest = getattr(self, name)
            flag = f"--{name.replace('_', '-')}"
            require(
                least <= greatest,
                f"{name} from {least} to {greatest}",
                "the least value first, the greatest one second",
                f"give them in this order: {flag} {greatest} {least}",
            )
            require(
                least >= bound and math.isfinite(greatest) and not (name == "learning_rate" and least == 0),
                f"{name} from {least} to {greatest}",
                "a learning rate above 0" if name == "learning_rate" else f"values of at least {bound}",
                f"raise the least value of {flag}",
            )
        for name in ("dropouts", "dense_dropout"):
            greatest = getattr(self, name)[1]
            require(greatest < 1, f"{name} up to {greatest}", "dropout rates below 1", "use for instance 0.5")

    def _check_choices(self) -> None:
        """ConfigurationError for values that cannot be, or none where there must be one."""
        allowed = {
            "depths": (bool(self.depths) and set(self.depths) <= {1, 2}, "1, 2 or both"),
            "poolings": (bool(self.poolings) and set(self.poolings) <= {2, 3}, "2, 3 or both"),
            "batch_size": (all(size >= 1 for size in self.batch_size), "whole numbers of at least 1"),
            "distortion": (all(0 <= strength <= 2 for strength in self.distortion), "strengths from 0 to 2"),
            "start": (set(self.start) <= set(RECIPES), f"recipes: {', '.join(RECIPES)}"),
            "near": (0 <= self.near <= 1, "a fraction from 0 to 1"),
        }
        for name, (possible, expected) in allowed.items():
            require(possible, f"{name} = {getattr(self, name)}", expected, f"leave out --{name.replace('_', '-')}")

    def smallest(self) -> Architecture:
        """The network with the fewest parameters."""
        return min(self._smallest_of_each_kind(), key=Architecture.num_parameters)

    def _smallest_of_each_kind(self) -> list[Architecture]:
        """The smallest networks of each depth, with each number of poolings, with and without a dense layer."""
        kinds = product(self.depths, self.depths, self.poolings, self._fewest_dense_units())
        return [
            Architecture(
                filters=(self.filters[0],) * (first + second + 1),
                dropouts=(self.dropouts[0],) * (first + second + 1),
                dense_units=units,
                pool_after=pooled(first, second, poolings),
            )
            for first, second, poolings, units in kinds
        ]

    def fits(self, architecture: Architecture) -> bool:
        """Whether a network has at most the most parameters and multiplications."""
        return (self.max_parameters is None or architecture.num_parameters() <= self.max_parameters) and (
            self.max_multiplications is None or multiplications(architecture) <= self.max_multiplications
        )

    def known(self) -> list[Candidate]:
        """The recipes to start from that fit, or else the largest that does; trained as the space allows."""
        fitting = {name: recipe for name, recipe in RECIPES.items() if self.fits(recipe.architecture)}
        largest = sorted(fitting, key=lambda name: fitting[name].architecture.num_parameters())[-1:]
        return [
            Candidate(
                name=name,
                architecture=fitting[name].architecture,
                learning_rate=fitting[name].training.learning_rate,
                learning_rate_schedule=_kept(TRAINING.learning_rate_schedule, self.learning_rate_schedule),
                batch_size=_kept(TRAINING.global_batch_size, self.batch_size),
                distortion=_kept(TRAINING.distortion, self.distortion),
            )
            for name in [name for name in self.start if name in fitting] or largest
        ]

    def draw(self, rng: np.random.Generator, best: Candidate | None = None) -> Candidate:
        """A random network of this space that fits, or one that is varied from the `best`.

        A network that is too large is thrown away, and the next one is drawn from narrower bounds. So even tight
        limits are met soon, by networks of many shapes.
        """
        like = best if best and self.near and rng.random() < self.near else None
        reach = 1.0
        # A search of an earlier version goes on with the networks that it would have drawn: their order is fixed, and
        # what has one value takes no random number.
        while not self.fits(network := self._architecture(rng, reach, like.architecture if like else None)):
            reach *= NARROWING
        rate = _size(rng, self.learning_rate, 1.0, like.learning_rate if like else None)
        return Candidate(
            name="varied" if like else "drawn",
            architecture=network,
            learning_rate=float(f"{rate:.3g}"),
            learning_rate_schedule=_choice(
                rng, self.learning_rate_schedule, like.learning_rate_schedule if like else None
            ),
            batch_size=_choice(rng, self.batch_size, like.batch_size if like else None),
            distortion=_choice(rng, self.distortion, like.distortion if like else None),
        )

    def _architecture(self, rng: np.random.Generator, reach: float, like: Architecture | None) -> Architecture:
        """A random network, near another one if that is given; `reach`, in (0, 1], makes its sizes smaller."""
        stages = stages_of(like) if like else [range(0)] * 3
        first, second = (_choice(rng, self.depths, len(stage) or None) or 1 for stage in stages[:2])
        poolings = _choice(rng, self.poolings, len(like.pool_after) if like else None) or 2
        near: list[tuple[int, float] | tuple[None, None]] = []
        for stage, depth in zip(stages, (first, second, 1), strict=True):
            present = [(like.filters[index], like.dropouts[index]) for index in stage] if like else []
            near += (present[:1] * depth + present)[-depth:] or [(None, None)] * depth
        filters = tuple(round(_size(rng, self.filters, reach, size)) for size, _ in near)
        dropouts = tuple(_rate(rng, self.dropouts, rate) for _, rate in near)
        network = Architecture(filters=filters, dropouts=dropouts, pool_after=pooled(first, second, poolings))
        *absent, fewest = self._fewest_dense_units()
        without = WITHOUT_DENSE_LAYER
        if like:
            without = VARIED * without + (1 - VARIED) * (like.dense_units is None)
        if fewest is None or (absent and rng.random() < without):
            return network
        return replace(
            network,
            dense_units=round(_size(rng, (fewest, self.dense_units[1]), reach, like.dense_units if like else None)),
            dense_dropout=_rate(rng, self.dense_dropout, like.dense_dropout if like else None),
        )

    def _fewest_dense_units(self) -> list[int | None]:
        """The smallest choices of a dense layer: None for no layer, where 0 is allowed, then the smallest layer."""
        least, greatest = self.dense_units
        absent = [None] if least == 0 else []
        present = [max(least, min(greatest, FEWEST_DENSE_UNITS))] if greatest > 0 else []
        return absent + present


def pooled(first: int, second: int, poolings: int) -> tuple[int, ...]:
    """The convolutions that are followed by pooling, where so many stand in the first and in the second stage."""
    return (first - 1, first + second - 1, first + second)[:poolings]


def _size(rng: np.random.Generator, bounds: tuple[float, float], reach: float, near: float | None) -> float:
    """A random number between two positive bounds, uniform on the lower fraction `reach` of a logarithmic scale.

    Or, within the bounds, that fraction of a value `near`, mostly of just this one, else of its half to its double.
    """
    least, greatest = bounds
    if near is None:
        return least * math.exp(rng.uniform(0, reach * math.log(greatest / least)))
    factor = math.exp(rng.uniform(-TWICE, TWICE)) if rng.random() < VARIED else 1.0
    return min(max(near * factor * reach, least), greatest)


def _rate(rng: np.random.Generator, bounds: tuple[float, float], near: float | None) -> float:
    """A random dropout rate within the bounds, or one near another one, mostly that one."""
    if near is None:
        return round(rng.uniform(*bounds), 3)
    step = rng.uniform(-RATE_STEP, RATE_STEP) if rng.random() < VARIED else 0.0
    return round(min(max(near + step, bounds[0]), bounds[1]), 3)


def _choice(rng: np.random.Generator, values: Sequence[Value], near: Value | None) -> Value | None:
    """One of the values, mostly the one that is `near`, if that is given and among them; None where there are none."""
    if len(values) < 2:
        return values[0] if values else None
    if near in values and rng.random() >= VARIED:
        return near
    return values[int(rng.integers(len(values)))]


def _kept(value: Value, values: Sequence[Value]) -> Value | None:
    """A value, if it is among those that may be chosen, or the first of these; None where there are none."""
    return value if value in values else values[0] if values else None


def draw_candidates(space: SearchSpace, num_samples: int, seed: int) -> tuple[Candidate, ...]:
    """The networks that a search tries, in order: the known ones, then random ones; more begin with the same."""
    rng, known = np.random.default_rng(seed), space.known()

    def endless() -> Iterator[Candidate]:
        yield from known
        while True:
            yield space.draw(rng, known[0] if known else None)

    return tuple(islice(endless(), num_samples))
