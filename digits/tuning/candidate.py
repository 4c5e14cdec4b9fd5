"""What a search tries: a network and how it is trained. Knows no Ray."""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal, TypeAlias

from digits.config import IMAGE_SIZE, KERNEL_SIZE, RECIPES, Architecture, TrainingConfig

Schedule: TypeAlias = Literal["constant", "cosine"]


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One network that a search tries; what is None in it is as the search's other settings say."""

    name: str
    """A recipe's, for one that is known; varied, or drawn."""
    architecture: Architecture
    learning_rate: float
    learning_rate_schedule: Schedule | None = None
    batch_size: int | None = None
    distortion: float | None = None

    @property
    def known(self) -> bool:
        """Whether this is one of the recipes, which train to their last epoch."""
        return self.name in RECIPES

    def training(self, base: TrainingConfig) -> TrainingConfig:
        """How this network is trained, where `base` says what the search leaves as it is."""
        return replace(
            base,
            learning_rate=self.learning_rate,
            learning_rate_schedule=self.learning_rate_schedule or base.learning_rate_schedule,
            global_batch_size=self.batch_size or base.global_batch_size,
            distortion=base.distortion if self.distortion is None else self.distortion,
        )

    def hyper_parameters(self) -> dict[str, float | str]:
        """What the search varies: filters_1a, filters_1b ... by stage and place, dense_units (0: no such layer) ..."""
        network, places = self.architecture, places_of(self.architecture)
        chosen = {
            "learning_rate_schedule": self.learning_rate_schedule,
            "batch_size": self.batch_size,
            "distortion": self.distortion,
        }
        return {
            **{f"filters_{place}": filters for place, filters in zip(places, network.filters, strict=True)},
            **{f"dropout_{place}": dropout for place, dropout in zip(places, network.dropouts, strict=True)},
            "convolutions": len(network.filters),
            "poolings": len(network.pool_after),
            "dense_units": network.dense_units or 0,
            "dense_dropout": network.dense_dropout,
            "learning_rate": self.learning_rate,
            **{name: value for name, value in chosen.items() if value is not None},
        }


PLACES = ("1a", "1b", "2a", "2b", "3a")
"""Where a convolution of a drawn network may stand: 1a and 1b are the first and the second one of the first stage."""
HYPER_PARAMETERS = (
    *(f"filters_{place}" for place in PLACES),
    *(f"dropout_{place}" for place in PLACES),
    "convolutions",
    "poolings",
    "dense_units",
    "dense_dropout",
    "learning_rate",
    "learning_rate_schedule",
    "batch_size",
    "distortion",
)
"""All that a search may vary, by the names of `Candidate.hyper_parameters`."""


def stages_of(architecture: Architecture) -> list[range]:
    """The convolutions of each stage, by index: a stage ends with a pooling, the last one with or without."""
    count = len(architecture.filters)
    edges = sorted({0, count, *(index + 1 for index in architecture.pool_after)})
    return [range(first, last) for first, last in pairwise(edges)]


def places_of(architecture: Architecture) -> list[str]:
    """What each convolution is called, see `PLACES`."""
    stages = enumerate(stages_of(architecture), 1)
    return [f"{number}{chr(ord('a') + place)}" for number, stage in stages for place in range(len(stage))]


def shape_of(architecture: Architecture) -> str:
    """The filters of all convolutions, such as 16-32/64-64/160: a slash is a pooling."""
    parts = ["-".join(str(architecture.filters[index]) for index in stage) for stage in stages_of(architecture)]
    return "/".join(parts) + ("/" if len(architecture.filters) - 1 in architecture.pool_after else "")


def multiplications(architecture: Architecture) -> int:
    """Multiplications of one prediction: what the time of training and of predicting grows with."""
    total, size, convolutions = 0, IMAGE_SIZE, len(architecture.filters)
    kernels = [shape for name, shape in architecture.weight_shapes().items() if name.endswith("kernel")]
    for index, (height, width, channels, filters) in enumerate(kernels[:convolutions]):
        size -= KERNEL_SIZE - 1
        total += size * size * height * width * channels * filters
        size //= 2 if index in architecture.pool_after else 1
    return total + sum(inputs * outputs for inputs, outputs in kernels[convolutions:])
