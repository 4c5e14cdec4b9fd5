"""Runs: what lies in a folder decides where training goes on and which epoch is kept."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest

from digits.config import BASELINE, DataConfig, Recipe, TrainingConfig
from digits.errors import CheckpointError, ConfigurationError
from digits.models import checkpoints
from digits.storage import Storage
from digits.training import runs
from digits.training.runs import Run
from digits.training.state import EpochResult, TrainingState, history_csv


def make_run(select_by="validation_accuracy"):
    recipe = Recipe(architecture=BASELINE, training=TrainingConfig(epochs=3, select_by=select_by))
    return Run.of({"baseline": recipe}, (0, 7), DataConfig(), "fingerprint")


def write_epochs(run_dir, run, figures, num_photos=None):
    """Epochs of the run's first network with these (validation accuracy, photo score)."""
    history = []
    for number, (accuracy, photo_score) in enumerate(figures, start=1):
        history.append(
            EpochResult(
                epoch=number,
                train_loss=1.0,
                train_accuracy=0.9,
                validation_loss=1.0,
                validation_accuracy=accuracy,
                photo_score=photo_score,
                num_photos=num_photos,
                learning_rate=0.001,
                seconds=1.0,
                train_seconds=1.0,
                images_per_second=1.0,
            )
        )
        weights = {name: np.full(shape, number, np.float32) for name, shape in BASELINE.weight_shapes().items()}
        state = TrainingState(weights=weights, optimizer={"000": np.array(number)}, history=tuple(history))
        runs.write_epoch(run_dir / run.networks[0].epoch_name(number), run, run.networks[0], state, num_workers=1)


def test_the_keras_file_is_made_once_for_the_best_epoch(tmp_path):
    run, run_dir, made = make_run(), Storage.open(tmp_path), []

    def keras_file(checkpoint):
        made.append(checkpoint.record["metrics"]["epoch"])
        return b"keras"

    write_epochs(run_dir, run, [(0.5, None), (0.9, None), (0.7, None)])
    for _ in range(2):
        runs.complete_best_epoch(run_dir, run.networks[0], keras_file)
    assert made == [2]
    assert runs.read_keras_file(runs.best_epoch(run_dir, run.networks[0])) == b"keras"


def test_what_has_its_last_epoch_is_trained(tmp_path):
    run, run_dir = make_run(), Storage.open(tmp_path)
    write_epochs(run_dir, run, [(0.5, None), (0.9, None)])
    assert runs.untrained(run_dir, run) == list(run.networks)
    write_epochs(run_dir, run, [(0.5, None), (0.9, None), (0.7, None)])
    assert runs.untrained(run_dir, run) == [run.networks[1]]


def test_a_damaged_keras_file_of_an_earlier_version_whose_record_knows_it_is_refused(tmp_path):
    run, run_dir = make_run(), Storage.open(tmp_path)
    write_epochs(run_dir, run, [(0.5, None)])
    epoch = runs.best_epoch(run_dir, run.networks[0])
    folder = Storage.open(epoch.path)
    checkpoints.write(folder, weights=epoch.weights, record=epoch.record, keras_model=b"keras")
    assert runs.read_keras_file(runs.best_epoch(run_dir, run.networks[0])) == b"keras"
    (folder / checkpoints.KERAS_MODEL).write_bytes(b"other")
    with pytest.raises(CheckpointError, match="damaged"):
        runs.read_keras_file(runs.best_epoch(run_dir, run.networks[0]))


def test_a_run_is_read_as_it_was_written(tmp_path):
    run, run_dir = make_run(), Storage.open(tmp_path) / "run"
    run.write(run_dir)
    assert Run.read(run_dir) == run
    assert [network.name for network in run.networks] == ["baseline-seed0", "baseline-seed7"]


@pytest.mark.parametrize("content", [None, b"", b"{}", b'{"networks": [{}], "data": {}, "fingerprint": ""}'])
def test_a_folder_that_is_no_run_is_refused(tmp_path, content):
    run_dir = Storage.open(tmp_path) / "run"
    if content is not None:
        (run_dir / "run.json").write_bytes(content)
    with pytest.raises(ConfigurationError, match="what to do"):
        Run.read(run_dir)


def test_training_goes_on_from_the_last_epoch_that_can_be_read(tmp_path):
    run, run_dir, damage = make_run(), Storage.open(tmp_path), []
    assert runs.last_state(run_dir, run.networks[0], on_damage=damage.append) is None
    write_epochs(run_dir, run, [(0.9, None), (0.95, None), (0.96, None)])
    (run_dir / "baseline-seed0-epoch003" / "optimizer.npz").write_bytes(b"")
    state = runs.last_state(run_dir, run.networks[0], on_damage=damage.append)
    assert len(state.history) == 2
    assert state.optimizer["000"] == 2
    assert "epoch003" in str(damage[0])


@pytest.mark.parametrize(
    ("select_by", "figures", "kept"),
    [
        ("validation_accuracy", [(0.97, 0.99), (0.98, 0.90), (0.98, 0.95)], 2),
        ("photo_score", [(0.97, 0.90), (0.98, 0.96), (0.99, 0.93)], 2),
        # Within one standard error, 0.6 % of 1,000 photos at 96 %, validation accuracy decides.
        ("photo_score", [(0.97, 0.960), (0.99, 0.956), (0.98, 0.958)], 2),
    ],
)
def test_the_best_epoch_is_kept(tmp_path, select_by, figures, kept):
    run, run_dir = make_run(select_by), Storage.open(tmp_path)
    write_epochs(run_dir, run, figures)
    assert runs.best_epoch(run_dir, run.networks[0]).record["metrics"]["epoch"] == kept


def test_no_readable_epoch_is_an_error(tmp_path):
    with pytest.raises(CheckpointError, match="no epoch"):
        runs.best_epoch(Storage.open(tmp_path), make_run().networks[0])


def test_epochs_from_a_thousand_on_come_after_those_before(tmp_path):
    run, run_dir = make_run(), Storage.open(tmp_path)
    numbers = (9, 99, 999, 1000, 1001, 10_000)
    for number in numbers:
        Path((run_dir / run.networks[0].epoch_name(number)).path).mkdir(parents=True)
    names = runs.finished_epochs(run_dir, run.networks[0])
    assert names == [run.networks[0].epoch_name(number) for number in reversed(numbers)]


@pytest.mark.parametrize("described", [runs.Network, Run])
def test_what_is_trained_is_made_by_name_and_stays_as_it_is(described):
    assert described.__dataclass_params__.frozen
    with pytest.raises(TypeError, match="takes 1 positional argument"):
        described(())


def test_the_standard_error_is_that_of_as_many_photos_as_there_were(tmp_path):
    """Of ten photos 9 and 8 are read: within one standard error, 0.095."""
    run, run_dir = make_run("photo_score"), Storage.open(tmp_path)
    for num_photos, kept in ((None, 1), (1_000, 1), (10, 2)):
        write_epochs(run_dir, run, [(0.95, 0.9), (1.0, 0.81)], num_photos=num_photos)
        assert runs.best_epoch(run_dir, run.networks[0]).record["metrics"]["epoch"] == kept


def test_the_history_has_the_same_columns_for_epochs_of_any_version(tmp_path):
    run, run_dir = make_run(), Storage.open(tmp_path)
    write_epochs(run_dir, run, [(0.9, 0.9)], num_photos=500)
    record = checkpoints.load(run_dir / run.networks[0].epoch_name(1)).record
    earlier = {key: value for key, value in record["history"][0].items() if key not in ("photo_loss", "num_photos")}
    rows = list(csv.DictReader(io.StringIO(history_csv([{**record, "history": [earlier]}, record]).decode())))
    assert [row["num_photos"] for row in rows] == ["", "500"]
    assert [row["photo_score"] for row in rows] == ["0.9", "0.9"]
