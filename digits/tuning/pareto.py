"""What a prediction costs, and which networks no cheaper one equals."""

import statistics
import time

import numpy as np

from digits.config import CHANNELS, IMAGE_SIZE, Architecture
from digits.models.inference import Classifier

WARM_UP, REPETITIONS = 10, 60
"""Predictions before the time is taken, and while it is."""


def measure_inference_milliseconds(architecture: Architecture) -> float:
    """Median time of a prediction for one image on one thread; with random weights, which do not change it."""
    rng = np.random.default_rng(0)
    weights = {
        name: rng.standard_normal(shape, np.float32) * np.float32(0.05)
        for name, shape in architecture.weight_shapes().items()
    }
    classifier = Classifier(architecture, weights, num_threads=1)
    image = rng.integers(0, 256, (1, IMAGE_SIZE, IMAGE_SIZE, CHANNELS), np.uint8)
    seconds = []
    for _ in range(WARM_UP + REPETITIONS):
        start = time.perf_counter()
        classifier.probabilities(image)
        seconds.append(time.perf_counter() - start)
    return 1e3 * statistics.median(seconds[WARM_UP:])


def pareto_front(scores: np.ndarray, costs: np.ndarray) -> np.ndarray:
    """Which of N networks are on the front, bool (N,): no other is as good in score and cost, and better in one."""
    better = (scores[None] >= scores[:, None]) & (costs[None] <= costs[:, None])
    strictly = (scores[None] > scores[:, None]) | (costs[None] < costs[:, None])
    return np.logical_not((better & strictly).any(axis=1))
