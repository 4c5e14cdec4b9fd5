"""The script that a user would write instead of jobs/train.py: NumPy arrays in memory, model.fit, batches of 32.

It trains the same network on the same digits, in the form that is fastest for it: uint8, rescaled by the network.
"""

import json
import sys
from pathlib import Path

import keras
import numpy as np
import pyarrow.parquet as pq

from digits.config import RECIPES
from digits.models.network import build_model


def with_inverted_copies(images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """uint8 (N, 28, 28) and int64 (N,) to uint8 (2 N, 28, 28, 3) and int64 (2 N,)."""
    both = np.concatenate([images, 255 - images])
    return np.repeat(both[..., None], 3, axis=-1), np.concatenate([labels, labels])


def main(folder: str, network: str, epochs: int, seed: int, output: str) -> None:
    tables = [pq.read_table(file) for file in sorted(Path(folder).glob("*.parquet"))]
    images = np.concatenate([chunk.to_numpy_ndarray() for table in tables for chunk in table["image"].chunks])
    labels = np.concatenate([table["label"].to_numpy() for table in tables])
    order = np.random.default_rng(0).permutation(len(labels))
    validates, trains = np.split(order, [len(order) // 5])

    keras.utils.set_random_seed(seed)
    model = build_model(RECIPES[network].architecture)
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(
        *with_inverted_copies(images[trains], labels[trains]),
        batch_size=32,
        epochs=epochs,
        validation_data=with_inverted_copies(images[validates], labels[validates]),
        verbose=0,
        callbacks=[keras.callbacks.LambdaCallback(on_train_begin=lambda logs: print("first epoch begins"))],
    )
    Path(output).parent.mkdir(parents=True, exist_ok=True)
    model.save(output)
    print(json.dumps({"validation_accuracy": max(history.history["val_accuracy"])}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
