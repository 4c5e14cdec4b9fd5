"""The page network: a small fully convolutional network that says for every place of a picture which digit is there.

In: what `preprocessing.local_contrast` makes of a grey picture, uint8 (N, H, W, 2), H and W multiples of 32. Out:
float32 (N, H/4, W/4, 18), see `models.page_targets`. Residual blocks (He et al., 2016) at an eighth of the resolution,
some of them dilated (Yu and Koltun, 2016), do nearly all of the work; depth to space (Shi et al., 2016) brings it back
to a quarter, where the finer picture of the first layers is added.
"""

from typing import Any

import keras
from keras import layers

from digits.models.page_targets import CHANNELS, EPSILON, GREY_LEVELS, TURNS, PageArchitecture

LEAST_CENTRE_LOGIT = -3.5
"""What the network says of a centre before it has learned: rarely."""


def build_page_network(architecture: PageArchitecture) -> keras.Model:
    """The network for pictures of any size; initial weights follow `keras.utils.set_random_seed`."""
    picture = keras.Input((None, None, 2), dtype="float32")
    x = layers.Rescaling(1 / GREY_LEVELS)(picture)
    x = _activated(x, "stem", architecture.stem, 5, strides=2)
    x = _activated(x, "fine", architecture.fine, 3, strides=2)
    fine = x = _residual(x, "fine_block", architecture.fine, 1)
    x = _activated(x, "trunk", architecture.trunk, 3, strides=2)
    for number, dilation in enumerate(architecture.dilations):
        x = _residual(x, f"block_{number}", architecture.trunk, dilation)
    x = layers.Conv2D(4 * architecture.head, 1, name="spread")(x)
    x = DepthToSpace(name="depth_to_space")(x)
    x = layers.ReLU()(layers.Add()([x, layers.Conv2D(architecture.head, 1, name="skip")(fine)]))
    x = _activated(x, "head", architecture.head, 3)
    bias = [LEAST_CENTRE_LOGIT if channel < TURNS.stop else 0.0 for channel in range(CHANNELS)]
    answer = layers.Conv2D(CHANNELS, 1, bias_initializer=Constants(bias), name="answer")(x)
    return keras.Model(picture, answer)


@keras.saving.register_keras_serializable("digits")
class DepthToSpace(layers.Layer):
    """(N, H, W, 4 C) -> (N, 2 H, 2 W, C), in the order of ONNX's DepthToSpace in mode DCR and of TensorFlow's."""

    def call(self, x: Any) -> Any:
        """Apply it."""
        _, height, width, channels = keras.ops.shape(x)
        x = keras.ops.reshape(x, (-1, height, width, 2, 2, channels // 4))
        x = keras.ops.transpose(x, (0, 1, 3, 2, 4, 5))
        return keras.ops.reshape(x, (-1, 2 * height, 2 * width, channels // 4))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Shape of what `call` returns."""
        batch, height, width, channels = input_shape
        assert channels is not None
        return (batch, height and 2 * height, width and 2 * width, channels // 4)


@keras.saving.register_keras_serializable("digits")
class Constants(keras.initializers.Initializer):
    """Given numbers."""

    def __init__(self, values: list[float]) -> None:
        self.values = values

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Any:
        """The numbers, as a tensor."""
        return keras.ops.convert_to_tensor(self.values, dtype)

    def get_config(self) -> dict[str, Any]:
        """Keras' way to save it."""
        return {"values": self.values}


def _normalised(x: Any, name: str, filters: int, kernel: int, strides: int = 1, dilation: int = 1) -> Any:
    """A convolution without bias and what normalises it, named NAME_conv and NAME_norm."""
    convolution = layers.Conv2D(
        filters, kernel, strides=strides, padding="same", dilation_rate=dilation, use_bias=False, name=f"{name}_conv"
    )
    return layers.BatchNormalization(momentum=0.97, epsilon=EPSILON, name=f"{name}_norm")(convolution(x))


def _activated(x: Any, name: str, filters: int, kernel: int, strides: int = 1, dilation: int = 1) -> Any:
    return layers.ReLU()(_normalised(x, name, filters, kernel, strides, dilation))


def _residual(x: Any, name: str, filters: int, dilation: int) -> Any:
    y = _activated(x, f"{name}_a", filters, 3, dilation=dilation)
    return layers.ReLU()(layers.Add()([x, _normalised(y, f"{name}_b", filters, 3)]))
