"""Layers that train the same networks with less arithmetic than Keras' own, for TensorFlow.

`network.build_training_model` uses them; the weights are the same as those of `network.build_model`.
"""

import math

import keras
import tensorflow as tf

from digits.config import CHANNELS

LEVELS = 256
"""How many values the eight random bits of an activation can take."""
BLOCK_BYTES = 16
"""What the generator gives for each value of its counter."""
PHILOX = 1
"""TensorFlow's number of the generator."""


class Dropout(keras.layers.Layer):
    """Dropout whose masks depend on seed, layer, step and a digit's place in the global batch, and on nothing else.

    So one worker and many, a batch in one part and in several, and a resumed run all drop the same activations.
    The generator is Philox, whose numbers follow from a key and a counter (Salmon et al., Parallel random numbers: as
    easy as 1, 2, 3, 2011): the key is `seed` and `number` (which layer it is), the counter step and place.

    Each activation is zero with probability `rate`, and is otherwise scaled by 1 / (1 - rate). It gets eight random
    bits, a quarter of what Keras draws, which takes a third of a training step of the improved network. Eight bits give
    the rate only to 1/256, so each digit rounds it up or down at random, which makes it exact on average. The mask is
    applied by multiplication, which takes a third of the time of a selection.
    """

    def __init__(self, rate: float, *, seed: int, number: int) -> None:
        super().__init__()
        self.rate = rate
        self.key = (seed << 16) + number

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Pass activations unchanged; training calls `drop`."""
        return inputs

    def drop(self, inputs: tf.Tensor, step: tf.Tensor, place: tf.Tensor | int) -> tf.Tensor:
        """Drop activations of a training step: float (N, ...) to the same shape.

        `step`, int64 (), counts the optimizer's steps; `place` is where the first of the N digits stands in the global
        batch, and the others follow it.
        """
        num_digits, num_activations = tf.shape(inputs)[0], math.prod(inputs.shape[1:])
        # Each number holds the bits of four activations; a digit's last one rounds its rate.
        blocks = -(-(num_activations + 4) // BLOCK_BYTES)
        numbers = tf.raw_ops.StatelessRandomUniformFullIntV2(
            shape=[num_digits, blocks * BLOCK_BYTES // 4],
            key=tf.constant([self.key], tf.uint64),
            counter=tf.cast(tf.stack([tf.cast(place, tf.int64) * blocks, tf.cast(step, tf.int64)]), tf.uint64),
            alg=PHILOX,
            dtype=tf.uint32,
        )
        bits = tf.reshape(tf.bitcast(numbers, tf.uint8), [num_digits, -1])[:, :num_activations]
        rounding = tf.cast(numbers[:, -1:], tf.float32) / 2**32
        level = tf.floor(self.rate * LEVELS + rounding)
        # Above a rate of 255/256 some digits drop everything.
        scale = tf.cast(level < LEVELS, inputs.dtype) / (1 - self.rate)
        kept = tf.cast(bits >= tf.cast(tf.minimum(level, LEVELS - 1), tf.uint8), inputs.dtype)
        return inputs * tf.reshape(kept * scale, tf.shape(inputs))


class GreyConv2D(keras.layers.Conv2D):
    """`keras.layers.Conv2D` over three equal channels, given one of them: float32 (N, H, W, 1) to (N, h, w, filters).

    Its kernel has three channels, whose sum convolves the one: a third of the multiplications, the same result.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the weights that the layer has over three channels."""
        super().build((*input_shape[:-1], CHANNELS))
        self.input_spec = None

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Convolve, add the bias, activate."""
        kernel = keras.ops.sum(self.kernel, axis=2, keepdims=True)
        outputs = keras.ops.conv(inputs, kernel, strides=self.strides, padding=self.padding)
        return self.activation(outputs + self.bias)


def forward(model: keras.Sequential, images: tf.Tensor, step: tf.Tensor, place: tf.Tensor | int) -> tf.Tensor:
    """Logits in training of a model with our dropout: uint8 (N, 28, 28, 1) to float32 (N, 10).

    `step` and `place` are those of `Dropout.drop`.
    """
    outputs = images
    for layer in model.layers:
        outputs = layer.drop(outputs, step, place) if isinstance(layer, Dropout) else layer(outputs, training=True)
    return outputs
