"""Every hyper-parameter and its default: each number stands here, and nowhere else.

Command lines, searches, checkpoints and reports derive from these frozen dataclasses. Nothing here imports a framework,
so that the service can read an architecture without loading one.
"""

import math
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self, TypeAlias

from digits.errors import require

NUM_CLASSES = 10
OUTLIER = -1
"""Label of what is no digit, where training shows some of it."""
IMAGE_SIZE = 28
CHANNELS = 3
MNIST_BOX = 20
"""MNIST fits each digit into a square box of this many pixels, its proportions kept..."""
MNIST_CENTRE = 14.0
"""...and puts its centre of mass here on both axes, as a pixel index; 6,000 training digits: 14.00 and 13.99."""
KERNEL_SIZE = 3
MNIST = "mnist"
"""How --data names the digits that come with digits."""
Paths: TypeAlias = str | tuple[str, ...] | None
"""One or several folders or buckets of digits; None: those that come with digits."""
NUM_PHOTOS = 1_000
"""Simulated photos, each of another validation digit, that a photo score is measured on."""


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A convolutional network for 28x28 images, described as data.

    Each convolution (3x3, stride 1, no padding, ReLU) is followed by its dropout and, if its index is in `pool_after`,
    by 2x2 max pooling. After flattening come an optional dense ReLU layer with its dropout, and ten softmax outputs.
    A dropout rate of 0 adds no layer.
    """

    filters: tuple[int, ...]
    """Number of filters of each convolution, first to last."""
    dropouts: tuple[float, ...]
    """Dropout rate after each convolution, in [0, 1)."""
    dense_units: int | None = None
    """Units of the dense layer before the output; 0 leaves the layer out."""
    dense_dropout: float = 0.0
    """Dropout rate after the dense layer, in [0, 1)."""
    pool_after: tuple[int, ...] = (0, 1)
    """Indices of the convolutions that are followed by 2x2 max pooling, counted from 0."""

    def __post_init__(self) -> None:
        # JSON and command lines bring lists; tuples keep the value hashable and comparable.
        for name in ("filters", "dropouts", "pool_after"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        # One value for no dense layer, so that equal networks are equal.
        object.__setattr__(self, "dense_units", self.dense_units or None)
        require(
            len(self.filters) > 0 and all(isinstance(f, int) and f >= 1 for f in self.filters),
            f"filters = {self.filters}",
            "a positive whole number of filters for each convolution",
            "give 32 64 64, for example",
        )
        require(
            len(self.dropouts) == len(self.filters),
            f"{len(self.dropouts)} dropout rates for {len(self.filters)} convolutions",
            "one dropout rate for each convolution",
            "give as many dropouts as filters; 0 means none",
        )
        for rate in (*self.dropouts, self.dense_dropout):
            require(
                0 <= rate < 1,
                f"dropout rate = {rate}",
                "a rate in [0, 1): the fraction of activations dropped",
                "use 0 for no dropout, or a rate such as 0.15",
            )
        require(
            self.dense_units is None or self.dense_units >= 1,
            f"dense_units = {self.dense_units}",
            "a positive whole number, or None for no dense layer",
            "use 128, for example",
        )
        require(
            self.dense_units is not None or self.dense_dropout == 0,
            f"dense_dropout = {self.dense_dropout} without a dense layer",
            "a dense layer to drop activations from",
            "set dense_units, or dense_dropout to 0",
        )
        require(
            all(0 <= index < len(self.filters) for index in self.pool_after),
            f"pool_after = {self.pool_after}",
            f"indices of convolutions, 0 to {len(self.filters) - 1}",
            "name existing convolutions",
        )
        require(
            self.feature_size() >= 1,
            f"{len(self.filters)} convolutions with pooling after {self.pool_after} leave nothing of a 28x28 image",
            "a feature map of at least 1x1 before flattening",
            "use fewer convolutions or less pooling",
        )

    def feature_size(self) -> int:
        """Side of the square feature map that is flattened, in pixels; 0 or less if the network is impossible."""
        size = IMAGE_SIZE
        for index in range(len(self.filters)):
            size -= KERNEL_SIZE - 1
            if index in self.pool_after:
                size //= 2
        return size

    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every weight array, in the order of the network's layers."""
        shapes: dict[str, tuple[int, ...]] = {}
        channels = CHANNELS
        for index, filters in enumerate(self.filters):
            shapes[f"conv_{index}/kernel"] = (KERNEL_SIZE, KERNEL_SIZE, channels, filters)
            shapes[f"conv_{index}/bias"] = (filters,)
            channels = filters
        features = self.feature_size() ** 2 * channels
        if self.dense_units is not None:
            shapes["dense/kernel"] = (features, self.dense_units)
            shapes["dense/bias"] = (self.dense_units,)
            features = self.dense_units
        shapes["output/kernel"] = (features, NUM_CLASSES)
        shapes["output/bias"] = (NUM_CLASSES,)
        return shapes

    def num_parameters(self) -> int:
        """Number of trainable parameters."""
        return sum(math.prod(shape) for shape in self.weight_shapes().values())

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary that `from_dict` turns back into an equal architecture."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: object) -> Self:
        """The architecture that `to_dict` described; unknown or missing keys are refused."""
        known = {field.name for field in fields(cls)}
        require(
            isinstance(values, dict) and set(values) <= known and {"filters", "dropouts"} <= set(values),
            f"an architecture with the keys {sorted(values) if isinstance(values, dict) else values!r}",
            f"the keys {sorted(known)}",
            "use a checkpoint written by this version of digits",
        )
        assert isinstance(values, dict)
        return cls(**values)


BASELINE = Architecture(filters=(8, 16, 32), dropouts=(0.0, 0.0, 0.0))
"""The article's first network: 8,922 parameters."""

IMPROVED = Architecture(filters=(32, 64, 64), dropouts=(0.15, 0.18, 0.20), dense_units=128, dense_dropout=0.15)
"""The article's second network: 131,466 parameters."""


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which digits are read, and how they are divided."""

    path: Paths = None
    """Folder or bucket of Parquet files with the columns image and label, or several; mnist, or left out: MNIST."""
    weights: tuple[float, ...] | None = None
    """Shares of an epoch, one for each of several folders; None: each training digit once."""
    protocol: Literal["article", "literature"] = "article"
    """Which digits are held out to validate: article, a stratified random sample; literature, files named test-*."""
    validation_fraction: float = 0.2
    """Fraction of the digits held out to validate under the article's protocol, in (0, 1)."""
    split_seed: int = 0
    """Seed of the random split; runs can be compared only if they share it."""
    inverted_copies: bool = True
    """Whether both sides of the split also hold a colour-inverted copy of each of their digits."""

    def __post_init__(self) -> None:
        # One value for one meaning, whether it comes from a command line or from JSON.
        paths = () if self.path is None else (self.path,) if isinstance(self.path, str) else tuple(self.path)
        object.__setattr__(self, "path", paths if len(paths) > 1 else paths[0] if paths else None)
        object.__setattr__(self, "weights", self.weights and tuple(map(float, self.weights)))
        self._check_mixture(paths)
        require(
            0 < self.validation_fraction < 1,
            f"validation fraction = {self.validation_fraction}",
            "a fraction between 0 and 1, both excluded",
            "use 0.2, as the article did",
        )

    def _check_mixture(self, paths: tuple[str, ...]) -> None:
        """ConfigurationError for folders named twice and weights that say nothing of them."""
        twice = "leave one out; --weights says how often its digits are shown"
        require(len(set(paths)) == len(paths), "--data names a folder twice", "each folder once", twice)
        if self.weights is None:
            return
        shown, remedy = " ".join(f"{weight:g}" for weight in self.weights), "give 1 1 for equal shares, or 0.3 0.7"
        require(
            len(self.weights) == len(paths) > 1,
            f"{len(self.weights)} weights ({shown}) for {len(paths)} sources of --data",
            "several sources, and one weight for each, in their order",
            f"give --data my_shards {MNIST} --weights 1 1, for example",
        )
        weights_can_be = all(0 <= weight < math.inf for weight in self.weights) and sum(self.weights) > 0
        require(weights_can_be, f"--weights {shown}", "numbers of at least 0, not all of them 0", remedy)


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How one network is trained."""

    epochs: int
    """Passes over the training digits."""
    learning_rate: float = 1e-3
    """Adam's learning rate, at its peak."""
    learning_rate_schedule: Literal["constant", "cosine"] = "constant"
    """constant; or cosine: a short linear warm-up, then half a cosine that reaches zero at the end of training."""
    global_batch_size: int = 32
    """Digits in each step, over all workers together."""
    seed: int = 0
    """Seed of the initial weights, shuffling, dropout and distortion."""
    distort: bool = False
    """Whether training digits are distorted anew in every epoch (digits.augmentation)."""
    distortion: float = 1.0
    """Strength of the distortion, from 0 to 2: how far digits are bent, and how often restyled, soiled or badly lit."""
    outliers: float = 0.0
    """Fraction of the distorted digits that give way to letters and sketches, learned as none of the ten; 0 to 0.5."""
    clean_tail: float = 0.0
    """Fraction of the epochs, at the end, that leave digits undistorted although `distort` is set; in [0, 1]."""
    select_by: Literal["validation_accuracy", "photo_score"] = "validation_accuracy"
    """What decides which epoch is kept; where photo scores tie, validation accuracy does."""

    def __post_init__(self) -> None:
        require(self.epochs >= 1, f"epochs = {self.epochs}", "a whole number of at least 1", "use 5, for example")
        for name, value, most, remedy in (
            ("clean tail", self.clean_tail, 1, "use 0 to distort in every epoch"),
            ("outliers", self.outliers, 0.5, "use 0.06, as recommended"),
            ("distortion", self.distortion, 2, "use 1, as recommended"),
        ):
            require(0 <= value <= most, f"{name} = {value}", f"from 0 to {most}", remedy)
        require(
            0 < self.learning_rate < math.inf,
            f"learning rate = {self.learning_rate}",
            "a positive number",
            "use 0.001, Adam's usual learning rate",
        )
        require(
            self.global_batch_size >= 1,
            f"global batch size = {self.global_batch_size}",
            "a whole number of at least 1",
            "use 32, as the article did",
        )
        require(
            0 <= self.seed < 2**31,
            f"seed = {self.seed}",
            "a whole number from 0 to 2147483647",
            "use 0, for example",
        )

    @property
    def distorted_epochs(self) -> int:
        """How many epochs distort their digits; they come first."""
        return self.epochs - round(self.clean_tail * self.epochs) if self.distort else 0

    @property
    def knows_none(self) -> bool:
        """Whether training shows what is no digit, too."""
        return self.outliers > 0 and self.distorted_epochs > 0


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A network together with how it is trained."""

    architecture: Architecture
    training: TrainingConfig


RECOMMENDED = Architecture(
    filters=(16, 32, 64, 64, 160),
    dropouts=(0.0, 0.0, 0.0, 0.0, 0.0),
    dense_units=128,
    dense_dropout=0.2,
    pool_after=(1, 3),
)
"""For real handwriting: 236,170 parameters. Two convolutions before each pooling layer read more styles than one."""

RECIPES = {
    "baseline": Recipe(architecture=BASELINE, training=TrainingConfig(epochs=5)),
    "improved": Recipe(architecture=IMPROVED, training=TrainingConfig(epochs=4)),
    "recommended": Recipe(
        architecture=RECOMMENDED,
        training=TrainingConfig(
            epochs=14,
            learning_rate=3e-3,
            learning_rate_schedule="cosine",
            global_batch_size=128,
            distort=True,
            outliers=0.06,
            clean_tail=0.15,
            select_by="photo_score",
        ),
    ),
}
"""The article's two recipes, each ending with the epoch that its author kept, and the recommended one."""
