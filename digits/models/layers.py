"""Layers that train the same networks with less arithmetic than Keras' own, for TensorFlow.

`network.build_training_model` uses them; the weights are the same as those of `network.build_model`.
"""

import keras
import tensorflow as tf

from digits.config import CHANNELS

LEVELS = 256
"""How many values the eight random bits of an activation can take."""


class Dropout(keras.layers.Dropout):
    """What `keras.layers.Dropout` does, with a quarter of the random bits: float32 (N, ...) to the same shape.

    In training each activation is zero with probability `rate`, and is otherwise scaled by 1 / (1 - rate). Drawing 32
    random bits for each, as Keras does, takes a third of a training step of the improved network. Eight bits give the
    rate only to 1/256, so each image rounds it up or down at random, which makes it exact on average. The mask is
    applied by multiplication, which takes a third of the time of a selection.
    """

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Drop activations in training; pass them unchanged at any other time."""
        if not training or not 0 < self.rate <= 1 - 1 / LEVELS:
            return super().call(inputs, training=training)
        seed = tf.cast(tf.convert_to_tensor(self.seed_generator.next()), tf.int32)
        size = tf.size(inputs)
        # Each int32 holds the bits of four activations.
        numbers = tf.random.stateless_uniform([(size + 3) // 4], seed, None, None, tf.int32)
        bits = tf.reshape(tf.reshape(tf.bitcast(numbers, tf.uint8), [-1])[:size], tf.shape(inputs))
        images = [tf.shape(inputs)[0]] + [1] * (len(inputs.shape) - 1)
        rounding = tf.random.stateless_uniform(images, seed + 1)
        dropped = tf.cast(tf.floor(self.rate * LEVELS + rounding), tf.uint8)
        return inputs * (tf.cast(bits >= dropped, inputs.dtype) / (1 - self.rate))


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
