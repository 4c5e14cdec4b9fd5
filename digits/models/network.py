"""The networks: one function builds every architecture, from uint8 digits to ten probabilities."""

import itertools
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import keras
import numpy as np

from digits.config import CHANNELS, IMAGE_SIZE, KERNEL_SIZE, NUM_CLASSES, Architecture


def build_model(architecture: Architecture) -> keras.Sequential:
    """A Keras network from uint8 (N, 28, 28, 3), values 0..255, to softmax probabilities float32 (N, 10).

    Its weights, in order, are those of `architecture.weight_shapes()`. Initial weights and dropout follow
    `keras.utils.set_random_seed`. Only this network divides by 255.
    """
    return _stack_layers(architecture, CHANNELS, keras.layers.Conv2D, keras.layers.Dropout, "softmax")


def build_training_model(architecture: Architecture, seed: int) -> keras.Sequential:
    """The same network with the same weights for grey digits in one channel, uint8 (N, 28, 28, 1): faster to train.

    It ends with the logits, float32 (N, 10), before the softmax. `seed` is that of its dropout; in training
    `digits.models.layers.forward` runs it.
    """
    from digits.models.layers import Dropout, GreyConv2D  # for TensorFlow only, unlike the network itself

    numbers = itertools.count()
    return _stack_layers(architecture, 1, GreyConv2D, lambda rate: Dropout(rate, seed=seed, number=next(numbers)), None)


def _stack_layers(
    architecture: Architecture,
    channels: int,
    first_convolution: type[keras.layers.Conv2D],
    dropout: Callable[[float], keras.layers.Layer],
    last_activation: str | None,
) -> keras.Sequential:
    layers = [keras.Input((IMAGE_SIZE, IMAGE_SIZE, channels), dtype="uint8"), keras.layers.Rescaling(1 / 255)]
    for index, (filters, rate) in enumerate(zip(architecture.filters, architecture.dropouts, strict=True)):
        convolution = keras.layers.Conv2D if index else first_convolution
        layers.append(convolution(filters, KERNEL_SIZE, activation="relu", name=f"conv_{index}"))
        if rate:
            layers.append(dropout(rate))
        if index in architecture.pool_after:
            layers.append(keras.layers.MaxPooling2D())
    layers.append(keras.layers.Flatten())
    if architecture.dense_units is not None:
        layers.append(keras.layers.Dense(architecture.dense_units, activation="relu", name="dense"))
        if architecture.dense_dropout:
            layers.append(dropout(architecture.dense_dropout))
    layers.append(keras.layers.Dense(NUM_CLASSES, activation=last_activation, name="output"))
    return keras.Sequential(layers)


def keras_file(architecture: Architecture, weights: Mapping[str, np.ndarray]) -> bytes:
    """A network as a .keras file, for people who use Keras; this project never loads it."""
    model = build_model(architecture)
    model.set_weights(list(weights.values()))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        return path.read_bytes()
