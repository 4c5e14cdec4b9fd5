"""Seconds of predicting digits in memory: digits.models.inference, or Keras' model.predict.

Arguments: ours or keras, checkpoint, folder of digits, how many (inverted copies included), batch size of Keras.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np

from digits.benchmarks.parquet import read_parquet
from digits.evaluation.metrics import Predict, evaluate
from digits.models import checkpoints
from digits.models.checkpoints import Checkpoint
from digits.models.inference import build_classifier


def keras_predict(checkpoint: Checkpoint, batch_size: int) -> Predict:
    """What a Keras user calls."""
    from digits.models.network import build_model  # imports TensorFlow, which the other side does without

    model = build_model(checkpoint.architecture)
    model.set_weights(list(checkpoint.weights.values()))
    return lambda images: model.predict(images, batch_size=batch_size, verbose=0)


def main(side: str, path: str, folder: str, num_digits: int, batch_size: int) -> None:
    images, labels = read_parquet(Path(folder))
    originals = images[: num_digits // 2]
    images, labels = np.concatenate([originals, 255 - originals]), np.tile(labels[: num_digits // 2], 2)
    checkpoint = checkpoints.load(path)
    predict: Predict
    if side == "ours":
        predict = build_classifier(checkpoint).probabilities
        evaluate(predict, images[:1000], labels[:1000])
        start = time.perf_counter()
        evaluate(predict, images, labels)
    else:
        predict = keras_predict(checkpoint, batch_size)
        three_channels = np.repeat(images[..., None], 3, axis=-1)
        predict(three_channels[:1000])
        start = time.perf_counter()
        predict(three_channels)
    print(json.dumps({"seconds": time.perf_counter() - start, "digits": len(images)}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
