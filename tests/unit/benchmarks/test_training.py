"""Epochs of a training job are timed by what it leaves behind, not by what it prints."""

import os
import time
from dataclasses import replace

import numpy as np
import pytest

from digits.benchmarks.measuring import FinishedProcess
from digits.benchmarks.training import epoch_ends, start_up
from digits.config import RECIPES, DataConfig
from digits.models.checkpoints import RECORD
from digits.storage import Storage
from digits.training.runs import Run, write_epoch
from digits.training.state import EpochResult, TrainingState


def result(epoch: int, seconds: float) -> EpochResult:
    figures = dict.fromkeys(("train_loss", "train_accuracy", "validation_loss", "validation_accuracy"), 0.5)
    return EpochResult(
        epoch=epoch, **figures, photo_score=0.5, learning_rate=1e-3, seconds=seconds, train_seconds=seconds,
        images_per_second=1.0,
    )  # fmt: skip


@pytest.fixture
def finished(tmp_path):
    """A job of two epochs of 2 and 3 seconds, which ended 10 and 14 seconds after its start."""
    started = time.time() - 100
    recipe = replace(RECIPES["baseline"], training=replace(RECIPES["baseline"].training, epochs=2))
    run = Run.of({"baseline": recipe}, (0,), DataConfig(), "fingerprint")
    run_dir = Storage.open(tmp_path)
    run.write(run_dir)
    (network,) = run.networks
    weights = {name: np.zeros(shape, np.float32) for name, shape in network.recipe.architecture.weight_shapes().items()}
    history = (result(1, 2.0), result(2, 3.0))
    for epoch, end in ((1, 10.0), (2, 14.0)):
        state = TrainingState(weights=weights, optimizer={}, history=history[:epoch])
        write_epoch(run_dir / network.epoch_name(epoch), run, network, state, num_workers=1)
        os.utime(tmp_path / network.epoch_name(epoch) / RECORD, (started + end,) * 2)
    document = {"run_dir": str(tmp_path)}
    return FinishedProcess(document=document, started_at=started, seconds=20.0, lines=[], peak_bytes={})


def test_ends_are_counted_from_the_start_of_the_process(finished):
    assert epoch_ends(finished) == [(pytest.approx(10.0, abs=1e-3), 2.0), (pytest.approx(14.0, abs=1e-3), 3.0)]


def test_start_up_is_what_comes_before_the_first_epoch(finished):
    assert start_up(finished) == pytest.approx(8.0, abs=1e-3)
