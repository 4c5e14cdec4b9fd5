"""A search and what came of its trials, made up."""

import math

from digits.config import BASELINE, RECIPES, DataConfig
from digits.training.state import EpochResult
from digits.tuning.budget import TuningConfig
from digits.tuning.candidate import Candidate
from digits.tuning.searches import Search, TrialResult
from digits.tuning.space import SearchSpace


def a_search(**changes):
    return Search(
        space=SearchSpace(max_parameters=500_000),
        tuning=TuningConfig(num_samples=4, max_epochs=9),
        training=RECIPES["recommended"].training,
        seeds=(0, 1),
        data=DataConfig(),
        fingerprint="abc",
        **changes,
    )


def epoch(number, score, accuracy=0.9):
    """An epoch with a photo score and the loss that is worth as much."""
    return EpochResult(
        epoch=number, train_loss=1.0, train_accuracy=0.5, validation_loss=1.0, validation_accuracy=accuracy,
        photo_score=score, photo_loss=-math.log(score), learning_rate=1e-3, seconds=2.0, train_seconds=1.0,
        images_per_second=100.0,
    )  # fmt: skip


def a_trial(number, status, *scores, architecture=BASELINE, epochs_trained=None):
    return TrialResult(
        number=number,
        candidate=Candidate(name="drawn", architecture=architecture, learning_rate=1e-3),
        status=status,
        history=tuple(epoch(place, score) for place, score in enumerate(scores, 1)),
        epochs_trained=len(scores) if epochs_trained is None else epochs_trained,
        rank_by="photo_loss",
    )
