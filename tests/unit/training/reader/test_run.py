"""Runs of the page network: settings, schedule, and what lies in the folder."""

import numpy as np
import pytest

from digits.errors import CheckpointError, ConfigurationError
from digits.storage import Storage
from digits.training.reader import run as runs
from digits.training.reader.run import PageEpoch, PageRun, PageState, PageTraining


def epoch(number, error_rate=None):
    return PageEpoch(
        epoch=number,
        centre_loss=1.0,
        box_loss=1.0,
        digit_loss=1.0,
        digit_accuracy=0.5,
        squares_per_second=10.0,
        waited_fraction=0.01,
        seconds=100.0,
        error_rate=error_rate,
    )


def state(*history):
    weights = {"stem_conv/kernel": np.full((2, 3), len(history), np.float32)}
    return PageState(weights=weights, mean=weights, optimizer=[np.arange(3), np.float32(2)], history=history)


@pytest.mark.parametrize(
    "wrong", [{"epochs": 0}, {"squares_per_epoch": 4}, {"learning_rate": 0.0}, {"global_batch_size": 0}]
)
def test_settings_that_cannot_work_are_refused_in_three_parts(wrong):
    with pytest.raises(ConfigurationError, match="expected: "):
        PageTraining(**wrong)


def test_the_learning_rate_rises_stays_and_falls():
    config = PageTraining(epochs=10, squares_per_epoch=800, global_batch_size=8)
    rates = [config.schedule(step) for step in range(1000)]
    assert rates[0] < 0.05 and rates[99] == 1 and rates[600] == 1
    assert rates[-1] < 0.05 and min(rates) > 0
    assert np.all(np.diff(rates[700:]) <= 0)
    assert [config.is_judged(number) for number in range(10)].count(True) == 2 and config.is_judged(9)


def test_a_run_and_its_epochs_come_back_as_they_were(tmp_path):
    run_dir = Storage.open(tmp_path)
    run = PageRun(training=PageTraining(seed=3), architecture={"trunk": 48}, fingerprint="abc")
    run.write(run_dir)
    assert PageRun.read(run_dir) == run
    for number in (1, 2):
        history = tuple(epoch(place) for place in range(1, number + 1))
        runs.write_state(run_dir / runs.epoch_name(number), state(*history))
    last = runs.last_state(run_dir, on_damage=lambda error: pytest.fail(str(error)))
    assert [one.epoch for one in last.history] == [1, 2]
    assert last.weights["stem_conv/kernel"].tolist() == [[2] * 3] * 2
    assert [array.tolist() for array in last.optimizer] == [[0, 1, 2], 2]


def test_a_damaged_epoch_is_told_and_the_one_before_taken(tmp_path):
    run_dir = Storage.open(tmp_path)
    for number in (1, 2, 3):
        runs.write_state(run_dir / runs.epoch_name(number), state(epoch(number)))
    (run_dir / "epoch-003" / runs.STATE).write_bytes(b"no arrays")
    (run_dir / "epoch-002" / runs.EPOCH).write_bytes(b"{")
    damaged = []
    assert runs.last_state(run_dir, on_damage=damaged.append).history[0].epoch == 1
    assert len(damaged) == 2 and all(isinstance(error, CheckpointError) for error in damaged)


def test_the_best_epoch_has_the_fewest_errors_on_simulated_pages(tmp_path):
    run_dir = Storage.open(tmp_path)
    with pytest.raises(CheckpointError, match="was judged"):
        runs.best_epoch(run_dir)
    for number, error_rate in ((1, None), (2, 0.1), (3, 0.04), (4, 0.04), (5, 0.07)):
        runs.write_state(
            run_dir / runs.epoch_name(number),
            state(*(epoch(n) for n in range(1, number)), epoch(number, error_rate)),
        )
    assert len(runs.best_epoch(run_dir).history) == 4


def test_a_folder_without_a_run_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match="without --resume"):
        PageRun.read(Storage.open(tmp_path))


def test_epochs_from_a_thousand_on_come_after_those_before(tmp_path):
    numbers = (9, 999, 1000, 1001)
    for number in numbers:
        (tmp_path / runs.epoch_name(number)).mkdir()
    assert runs.finished_epochs(Storage.open(tmp_path)) == [runs.epoch_name(number) for number in reversed(numbers)]
