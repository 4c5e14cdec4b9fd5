"""Which networks a search may try: the bounds, the article's networks, and random ones that fit. Knows no Ray."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from digits.config import RECIPES, Architecture
from digits.errors import require

NUM_CONVOLUTIONS = 3
FEWEST_DENSE_UNITS = 16
"""The smallest dense layer that is drawn: fewer units than digits would only be a bottleneck."""
WITHOUT_DENSE_LAYER = 0.25
"""Fraction of the drawn networks that have no dense layer, where the bounds allow that."""
NARROWING = 0.98
"""Each time a drawn network is too large, the bounds shrink by this factor (see `SearchSpace.draw`)."""
PUBLISHED = ("improved", "baseline")
"""The article's networks, which every search tries first, to their last epoch, so that it cannot end below them."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One network that a search tries."""

    name: str
    """improved, baseline, or drawn."""
    architecture: Architecture
    learning_rate: float

    @property
    def published(self) -> bool:
        """Whether this is one of the article's networks."""
        return self.name in PUBLISHED

    def hyper_parameters(self) -> dict[str, float]:
        """What a search varies, each a number: filters_1 ..., dense_units (0 where there is no such layer) ..."""
        network = self.architecture
        return {
            **{f"filters_{place}": filters for place, filters in enumerate(network.filters, 1)},
            **{f"dropout_{place}": dropout for place, dropout in enumerate(network.dropouts, 1)},
            "dense_units": network.dense_units or 0,
            "dense_dropout": network.dense_dropout,
            "learning_rate": self.learning_rate,
        }


@dataclass(frozen=True, kw_only=True)
class SearchSpace:
    """Least and greatest value, both included, of each hyper-parameter that a search varies."""

    filters: tuple[int, int] = (8, 128)
    """Filters of each of the three convolutions; drawn on a logarithmic scale."""
    dropouts: tuple[float, float] = (0.0, 0.5)
    """Dropout rate after each convolution."""
    dense_units: tuple[int, int] = (0, 256)
    """Units of the dense layer, on a logarithmic scale from 16 on; 0 leaves the layer out."""
    dense_dropout: tuple[float, float] = (0.0, 0.5)
    """Dropout rate after the dense layer."""
    learning_rate: tuple[float, float] = (3e-4, 1e-2)
    """Adam's step size at the start; drawn on a logarithmic scale."""
    max_parameters: int | None = None
    """Largest number of trainable parameters; also for the published networks."""

    def __post_init__(self) -> None:
        lowest = {"filters": 1, "dropouts": 0, "dense_units": 0, "dense_dropout": 0, "learning_rate": 0}
        for name, bound in lowest.items():
            # JSON brings lists; the value stays hashable and comparable.
            object.__setattr__(self, name, tuple(getattr(self, name)))
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
            require(
                getattr(self, name)[1] < 1,
                f"{name} up to {getattr(self, name)[1]}",
                "dropout rates below 1",
                "use for instance 0.5",
            )
        smallest = self.smallest().num_parameters()
        require(
            self.max_parameters is None or smallest <= self.max_parameters,
            f"no network of this space has at most {self.max_parameters} parameters: the smallest has {smallest:,}",
            f"--max-parameters of at least {smallest:,}",
            "raise it, or lower the least values of --filters and --dense-units",
        )

    def smallest(self) -> Architecture:
        """The network with the fewest parameters."""
        filters, dropouts = (self.filters[0],) * NUM_CONVOLUTIONS, (self.dropouts[0],) * NUM_CONVOLUTIONS
        networks = [
            Architecture(filters=filters, dropouts=dropouts, dense_units=units) for units in self._fewest_dense_units()
        ]
        return min(networks, key=Architecture.num_parameters)

    def fits(self, architecture: Architecture) -> bool:
        """Whether a network has at most the largest number of parameters."""
        return self.max_parameters is None or architecture.num_parameters() <= self.max_parameters

    def draw(self, rng: np.random.Generator) -> Candidate:
        """A random network of this space that fits.

        A network that is too large is thrown away, and the next one is drawn from narrower bounds. So even a tight
        --max-parameters is met soon, by networks of many shapes.
        """
        reach = 1.0
        while True:
            architecture = self._architecture(rng, reach)
            if self.fits(architecture):
                learning_rate = float(f"{logarithmic(rng, *self.learning_rate):.3g}")
                return Candidate(name="drawn", architecture=architecture, learning_rate=learning_rate)
            reach *= NARROWING

    def _architecture(self, rng: np.random.Generator, reach: float) -> Architecture:
        """A random network; its sizes come from the lower fraction `reach`, in (0, 1], of their logarithmic ranges."""
        filters = tuple(round(logarithmic(rng, *self.filters, reach)) for _ in range(NUM_CONVOLUTIONS))
        dropouts = tuple(round(rng.uniform(*self.dropouts), 3) for _ in range(NUM_CONVOLUTIONS))
        *absent, fewest = self._fewest_dense_units()
        if fewest is None or (absent and rng.random() < WITHOUT_DENSE_LAYER):
            return Architecture(filters=filters, dropouts=dropouts)
        return Architecture(
            filters=filters,
            dropouts=dropouts,
            dense_units=round(logarithmic(rng, fewest, self.dense_units[1], reach)),
            dense_dropout=round(rng.uniform(*self.dense_dropout), 3),
        )

    def _fewest_dense_units(self) -> list[int | None]:
        """The smallest choices of a dense layer: None for no layer, where 0 is allowed, then the smallest layer."""
        least, greatest = self.dense_units
        absent = [None] if least == 0 else []
        present = [max(least, min(greatest, FEWEST_DENSE_UNITS))] if greatest > 0 else []
        return absent + present


def logarithmic(rng: np.random.Generator, least: float, greatest: float, reach: float = 1.0) -> float:
    """A random number between two positive bounds, uniform on the lower fraction `reach` of a logarithmic scale."""
    return least * math.exp(rng.uniform(0, reach * math.log(greatest / least)))


def draw_candidates(space: SearchSpace, num_samples: int, seed: int) -> tuple[Candidate, ...]:
    """The networks that a search tries, in order: the article's that fit, then random ones."""
    rng = np.random.default_rng(seed)

    def endless() -> Iterator[Candidate]:
        for name in PUBLISHED:
            recipe = RECIPES[name]
            if space.fits(recipe.architecture):
                yield Candidate(
                    name=name, architecture=recipe.architecture, learning_rate=recipe.training.learning_rate
                )
        while True:
            yield space.draw(rng)

    return tuple(islice(endless(), num_samples))


@dataclass(frozen=True, kw_only=True)
class TuningConfig:
    """What a search spends: how many networks it tries, and how much on each."""

    num_samples: int = 20
    """Networks that are tried; the article's two are the first of them."""
    max_epochs: int = 12
    """Epochs of a trial that is not stopped early."""
    reduction_factor: int = 4
    """After epoch 1, and each time a trial's epochs have grown by this factor, about one trial in this many goes on."""
    train_images: int = 10_000
    """Training digits of a trial, not counting inverted copies (all, where there are fewer)."""
    validation_images: int = 2_500
    """Validation digits of a trial, not counting inverted copies (all, where there are fewer)."""
    workers_per_trial: int = 1
    """1: a trial is one process, with one core; more: a trial is a training run with this many workers."""
    gpus_per_trial: float | None = None
    """Fraction of a GPU for each one-process trial; left out, a quarter where there are GPUs."""
    search_seed: int = 0
    """Seed of the networks that are drawn, and of the training of all trials."""

    def __post_init__(self) -> None:
        for name in ("num_samples", "max_epochs", "train_images", "validation_images", "workers_per_trial"):
            value = getattr(self, name)
            flag = f"--{name.replace('_', '-')}"
            require(value >= 1, f"{name} = {value}", "a whole number of at least 1", f"give for instance {flag} 1")
        require(
            self.reduction_factor >= 2,
            f"reduction_factor = {self.reduction_factor}",
            "a whole number of at least 2",
            "use 4: one trial in four goes on",
        )
        require(
            self.gpus_per_trial is None or self.gpus_per_trial >= 0,
            f"gpus_per_trial = {self.gpus_per_trial}",
            "a fraction of a GPU such as 0.25, or a whole number",
            "leave it out, or use 0.25",
        )
        require(
            0 <= self.search_seed < 2**31,
            f"search seed = {self.search_seed}",
            "a whole number from 0 to 2147483647",
            "use for instance 0",
        )
