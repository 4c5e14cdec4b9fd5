"""One factor of a photo varied at a time: which one breaks which network, on which path to 28x28.

Digits are photographed at each level of each factor, with everything else as in a plain, good photo. Each photo is then
resized, as in the article, or prepared, and every network reads the same images.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from digits.config import CHANNELS, IMAGE_SIZE
from digits.errors import require
from digits.evaluation.metrics import Predict, evaluate
from digits.evaluation.photo_score import everyday_photos, prepared
from digits.evaluation.simulated_photos import PhotoConditions, photo_set, photograph
from digits.evaluation.unseen_styles import UNSEEN_STYLES, written
from digits.images import resize_photo

PATHS = ("resized", "prepared")
"""From photo to network: a plain resize, as in the article, or `prepare_photo`."""


@dataclass(frozen=True, kw_only=True)
class Factor:
    """One thing that varies between photos."""

    name: str
    """Name for files and programs."""
    title: str
    """Title for readers, with the unit."""
    levels: tuple[str, ...]
    """Each level in words, in order."""
    conditions: tuple[PhotoConditions | None, ...]
    """Conditions of each level's photos; None: everyday photos, as for the photo score."""
    styles: tuple[str, ...] = ()
    """Style of writing of each level, in place of MNIST's digits; empty for factors other than style."""

    @property
    def is_scale(self) -> bool:
        """Whether the levels are amounts, so that a line may join them."""
        return all(level.removesuffix(" %").lstrip("-").replace(".", "").isdigit() for level in self.levels)


def _factor(
    name: str, title: str, levels: Sequence[Any], words: Callable[[Any], str] = str, field: str | None = None
) -> Factor:
    """A factor whose levels are the values of one field of PhotoConditions."""
    conditions = tuple(replace(PhotoConditions(), **{field or name: level}) for level in levels)
    return Factor(name=name, title=title, levels=tuple(words(level) for level in levels), conditions=conditions)


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.3g} %"


FACTORS: dict[str, Factor] = {
    factor.name: factor
    for factor in (
        Factor(name="everyday", title="Everyday photos: all factors at random", levels=("random",), conditions=(None,)),
        _factor("paper_brightness", "Brightness of the paper, grey level of 255", (40, 80, 120, 160, 205, 250, 300)),
        _factor("contrast", "Contrast of the ink, % of the paper", (0.06, 0.12, 0.2, 0.35, 0.6, 0.85, 1.0), _percent),
        _factor("gradient", "Light lost across the frame", (0.0, 0.15, 0.3, 0.45, 0.6, 0.75), _percent),
        _factor("shadow", "Light lost behind a shadow edge", (0.0, 0.1, 0.2, 0.35, 0.5, 0.65), _percent),
        _factor("ruling", "Printed lines on the paper", ("plain", "lined", "squared")),
        _factor(
            "stroke_width",
            "Width of the stroke, % of the digit",
            (0.015, 0.03, 0.06, 0.09, 0.14, 0.2, 0.28),
            _percent,
        ),
        _factor("size", "Size of the digit, % of the frame", (0.08, 0.15, 0.25, 0.4, 0.6, 0.8, 0.95), _percent),
        _factor(
            "position",
            "Off the middle, % of the way to a corner",
            tuple((step, step) for step in (0.0, 0.25, 0.5, 0.75, 1.0)),
            lambda place: _percent(place[0]),
        ),
        _factor("rotation", "Rotation, degrees clockwise", (-45, -30, -15, 0, 15, 30, 45)),
        _factor("blur", "Blur of the lens, pixels of 200", (0.0, 1.0, 2.0, 3.0, 5.0, 8.0)),
        _factor("noise", "Noise of the sensor, grey levels", (0, 5, 10, 20, 35, 50)),
        _factor("jpeg_quality", "JPEG quality", (90, 50, 25, 12, 6, 3)),
        _factor(
            "polarity",
            "Polarity",
            ("dark_on_light", "light_on_dark"),
            lambda polarity: polarity.replace("_", " "),
        ),
        Factor(
            name="style",
            title="Style of writing",
            levels=tuple(UNSEEN_STYLES),
            conditions=(PhotoConditions(),) * len(UNSEEN_STYLES),
            styles=tuple(UNSEEN_STYLES),
        ),
    )
}
"""Every factor of the report by its name; the first is an everyday mixture of all the others."""


@dataclass(frozen=True, kw_only=True)
class LevelImages:
    """The photos of one level of one factor, as every network sees them."""

    factor: str
    """Name of the factor."""
    level: int
    """Index of the level."""
    example: np.ndarray
    """uint8 (H, W, 3): the first photo."""
    images: dict[str, np.ndarray]
    """By path: resized uint8 (N, 28, 28, 3), prepared uint8 (N, 28, 28)."""
    labels: dict[str, np.ndarray]
    """By path: int64 (N,); photo_score.NO_DIGIT where preparation found none."""


@dataclass(frozen=True, kw_only=True)
class FactorResult:
    """What one factor does to every network on both paths."""

    factor: Factor
    accuracy: dict[tuple[str, str], np.ndarray]
    """By network and path: float (S, L), 0..1, for S trainings of the network and L levels."""
    examples: list[np.ndarray]
    """One photo, uint8 (H, W, 3), per level."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: at each level the mean over trainings, and the lowest and the highest of them."""
        return {
            "factor": self.factor.name,
            "levels": list(self.factor.levels),
            "accuracy": [
                {
                    "network": network,
                    "path": path,
                    "trainings": len(values),
                    "mean": values.mean(axis=0).round(5).tolist(),
                    "lowest": values.min(axis=0).round(5).tolist(),
                    "highest": values.max(axis=0).round(5).tolist(),
                }
                for (network, path), values in self.accuracy.items()
            ],
        }


def level_images(factor: Factor, level: int, digits: np.ndarray, labels: np.ndarray, seed: int) -> LevelImages:
    """Photograph uint8 (N, 28, 28) digits, int (N,) labels, at one level of a factor.

    Depends on its arguments only, so that levels can be computed in parallel. All levels of a factor show the same
    digits under the same random directions of light.
    """
    require(
        0 <= level < len(factor.levels),
        f"level {level} of the factor {factor.name}",
        f"an index from 0 to {len(factor.levels) - 1}",
        "use the index of one of factor.levels",
    )
    conditions = factor.conditions[level]
    if factor.styles:
        assert conditions is not None, "a style is photographed under the conditions of its level"
        style = factor.styles[level]
        generators = [np.random.default_rng((seed, level, index)) for index in range(len(digits))]
        photos = [photograph(written(style, rng), rng, conditions) for rng in generators]
        labels = np.full(len(digits), UNSEEN_STYLES[style][0])
    elif conditions is None:
        photos = everyday_photos(digits, labels, seed)
    else:
        photos = photo_set(digits, seed, conditions)
    resized = np.zeros((len(photos), IMAGE_SIZE, IMAGE_SIZE, CHANNELS), np.uint8)
    for index, photo in enumerate(photos):
        resized[index] = resize_photo(photo)
    images, found = prepared(photos, labels)
    return LevelImages(
        factor=factor.name,
        level=level,
        example=photos[0],
        images={"resized": resized, "prepared": images},
        labels={"resized": np.asarray(labels, np.int64), "prepared": found},
    )


def join_parts(parts: Iterable[LevelImages]) -> list[LevelImages]:
    """Join the parts of each level, photographed separately, in their order: one LevelImages per level."""
    together: dict[tuple[str, int], list[LevelImages]] = {}
    for part in parts:
        together.setdefault((part.factor, part.level), []).append(part)
    return [
        replace(
            same[0],
            images={path: np.concatenate([part.images[path] for part in same]) for path in PATHS},
            labels={path: np.concatenate([part.labels[path] for part in same]) for path in PATHS},
        )
        for same in together.values()
    ]


def measure_factors(
    levels: Iterable[LevelImages], networks: Mapping[str, Sequence[Predict]]
) -> dict[str, FactorResult]:
    """Let every training of every network read every level; results by factor. Levels may come in any order.

    `networks` holds, by name, one prediction function for each training (seed) of a network.
    """
    results: dict[str, FactorResult] = {}
    for seen in levels:
        factor = FACTORS[seen.factor]
        if factor.name not in results:
            results[factor.name] = FactorResult(
                factor=factor,
                accuracy={
                    (name, path): np.full((len(trainings), len(factor.levels)), np.nan)
                    for name, trainings in networks.items()
                    for path in PATHS
                },
                examples=[seen.example] * len(factor.levels),
            )
        result = results[factor.name]
        result.examples[seen.level] = seen.example
        for (name, path), accuracy in result.accuracy.items():
            for training, predict in enumerate(networks[name]):
                accuracy[training, seen.level] = evaluate(predict, seen.images[path], seen.labels[path]).accuracy
    return results
