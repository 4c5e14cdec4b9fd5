"""Training on Ray Train: it learns, any number of workers computes the same, and it goes on where it stopped."""

import json
import shutil
from dataclasses import replace

import keras
import numpy as np
import pytest
import ray

from digits.config import RECIPES, DataConfig, Recipe, TrainingConfig
from digits.data.files import find_digits
from digits.data.read import read_without_ray
from digits.data.split import Split, split_rows
from digits.errors import TrainingError
from digits.models import checkpoints
from digits.models.inference import build_classifier
from digits.storage import Storage
from digits.training import driver, runs
from digits.training.finish import finish
from digits.training.runs import Run
from tests.meeting import Meeting

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("cluster")]

EPOCHS = 3
TRAINING = TrainingConfig(epochs=EPOCHS, global_batch_size=50)
ALL_NETWORKS = {name: Recipe(architecture=recipe.architecture, training=TRAINING) for name, recipe in RECIPES.items()}


def train(path, run_dir, num_workers, recipes, on_event=None, *, room=1, photo_digits=None):
    """Train on a folder of digits; returns the events and the last state of each network, by its name.

    Networks train side by side where there is room for several workers.
    """
    files, events = find_digits(path), []
    run = Run.of(recipes, (0,), DataConfig(path=path), files.fingerprint)
    workers = driver.Workers(num_workers=num_workers, use_gpu=False, cpus_per_worker=1, room=room)
    split = Split.make(files, run.data)
    photo_digits = photo_digits or [ray.put((np.zeros((10, 28, 28), np.uint8), np.arange(10)))]
    driver.train(run, run_dir, workers, split=split, photo_digits=photo_digits, on_event=on_event or events.append)
    states = {
        network.architecture_name: runs.last_state(run_dir, network, on_damage=pytest.fail) for network in run.networks
    }
    return events, states


@pytest.fixture(scope="module")
def uninterrupted(tiny_mnist, tmp_path_factory):
    """All networks, by one worker, three epochs each, no interruption."""
    run_dir = Storage.open(tmp_path_factory.mktemp("runs")) / "uninterrupted"
    return run_dir, *train(tiny_mnist, run_dir, 1, ALL_NETWORKS)


def test_loss_falls_and_every_epoch_is_told_and_kept(uninterrupted):
    run_dir, events, states = uninterrupted
    for name, state in states.items():
        losses = [epoch.train_loss for epoch in state.history]
        assert losses == sorted(losses, reverse=True)
        assert losses[-1] < 0.8 * losses[0]
        told = [
            event["result"] for event in events if event["event"] == "epoch" and event["network"].startswith(f"{name}-")
        ]
        assert tuple(told) == state.history
        kept = [folder for folder in run_dir.folders() if folder.startswith(f"{name}-")]
        assert kept == [f"{name}-seed0-epoch{epoch:03d}" for epoch in (1, 2, 3)]


def test_two_workers_end_with_the_weights_of_one(uninterrupted, tiny_mnist, tmp_path):
    run_dir, _, alone = uninterrupted
    shared_dir = Storage.open(tmp_path) / "shared"
    _, shared = train(tiny_mnist, shared_dir, 2, ALL_NETWORKS)
    for name in ALL_NETWORKS:
        first = [checkpoints.load(str(folder / f"{name}-seed0-epoch001")) for folder in (run_dir, shared_dir)]
        assert [checkpoint.record["training"]["num_workers"] for checkpoint in first] == [1, 2]
        # Sums in another order differ in the last bit; sixty steps of Adam make at most some 1e-4 of it. A gradient
        # summed twice, which Adam hides but for its epsilon, already differs by 1e-3 after the first epoch, and so do
        # masks of dropout that depend on the worker.
        for layer, weights in alone[name].weights.items():
            what = f"{name}, {layer}"
            first_epoch = [checkpoint.weights[layer] for checkpoint in first]
            np.testing.assert_allclose(*first_epoch, rtol=0, atol=1e-4, err_msg=f"{what}, first epoch")
            np.testing.assert_allclose(shared[name].weights[layer], weights, rtol=0, atol=5e-4, err_msg=what)
        for one, other in zip(alone[name].history, shared[name].history, strict=True):
            # Each validation digit is counted once, whoever holds it.
            assert other.validation_accuracy == pytest.approx(one.validation_accuracy, abs=1 / 240 + 1e-9)
            assert other.validation_loss == pytest.approx(one.validation_loss, abs=1e-3)


@pytest.mark.long
def test_networks_that_train_side_by_side_end_as_one_after_another(uninterrupted, tiny_mnist, tmp_path):
    _, _, in_turn = uninterrupted
    run_dir = Storage.open(tmp_path) / "side-by-side"
    meeting = Meeting(tmp_path / "begun", 2)
    _, states = train(tiny_mnist, run_dir, 1, ALL_NETWORKS, meeting, room=2, photo_digits=meeting.photos())
    assert len(meeting.begun) == 3
    for name, state in states.items():
        assert [epoch.epoch for epoch in state.history] == [1, 2, 3]
        for layer, weights in in_turn[name].weights.items():
            np.testing.assert_allclose(state.weights[layer], weights, rtol=0, atol=1e-5, err_msg=f"{name}, {layer}")
    for network in Run.read(run_dir).networks:
        assert runs.read_keras_file(runs.best_epoch(run_dir, network))


def test_an_interrupted_run_goes_on_from_its_last_readable_epoch(uninterrupted, tiny_mnist, tmp_path):
    complete_dir, _, complete = uninterrupted
    run_dir = Storage.open(tmp_path) / "interrupted"
    for name in ALL_NETWORKS:
        for epoch in (1, 2):
            folder = f"{name}-seed0-epoch{epoch:03d}"
            shutil.copytree((complete_dir / folder).path, (run_dir / folder).path)
    weights = run_dir / "baseline-seed0-epoch002" / checkpoints.WEIGHTS
    weights.write_bytes(weights.read_bytes()[:1000])
    events, resumed = train(tiny_mnist, run_dir, 1, ALL_NETWORKS)
    assert [event["epoch"] for event in events if event["event"] == "resumed"] == [1, 2, 2]
    assert "epoch002" in next(event["message"] for event in events if event["event"] == "damaged")
    for name in ALL_NETWORKS:
        assert len(resumed[name].history) == EPOCHS
        for layer, array in complete[name].weights.items():
            # Dropout goes on with the masks of the uninterrupted run.
            np.testing.assert_allclose(resumed[name].weights[layer], array, atol=1e-5, err_msg=f"{name}, {layer}")


def test_the_finished_checkpoint_is_the_best_epoch_calibrated(uninterrupted, tiny_mnist):
    run_dir, _, states = uninterrupted
    state = states["baseline"]
    files = find_digits(tiny_mnist)
    run = Run.read(run_dir)
    images, labels = read_without_ray(files, split_rows(files, run.data), inverted_copies=True)
    finished = finish(run_dir, run.networks[0], images, labels, {"mnist": len(labels) // 2})
    record = checkpoints.load(str(run_dir / "baseline-seed0")).record
    best = max(state.history, key=lambda epoch: epoch.validation_accuracy)
    assert record["metrics"]["epoch"] == best.epoch
    assert finished.predictions.accuracy == pytest.approx(best.validation_accuracy)
    assert finished.predictions.loss <= best.validation_loss + 1e-6
    assert 0 <= record["calibration"]["expected_calibration_error"] < 0.5
    found = build_classifier(finished.checkpoint).answers(images)
    assert (found.familiarity.mean(), found.familiarity.std()) == (
        pytest.approx(0, abs=1e-3),
        pytest.approx(1, abs=1e-3),
    )
    assert {"weights.npz", "model.keras", "checkpoint.json"} <= set((run_dir / "baseline-seed0").files())


def test_a_network_whose_best_epoch_is_not_its_last_keeps_the_figures_of_every_epoch(
    uninterrupted, tiny_mnist, tmp_path
):
    complete_dir, _, _ = uninterrupted
    run, run_dir = Run.read(complete_dir), Storage.open(tmp_path) / "best_second"
    network = run.networks[0]
    for epoch in range(1, EPOCHS + 1):
        folder = run_dir / network.epoch_name(epoch)
        shutil.copytree((complete_dir / network.epoch_name(epoch)).path, folder.path)
        record = json.loads((folder / checkpoints.RECORD).read_bytes())
        record["metrics"]["validation_accuracy"] = 0.9 if epoch == 2 else 0.1
        (folder / checkpoints.RECORD).write_bytes(json.dumps(record).encode())
    runs.complete_best_epoch(run_dir, network, lambda best: b"keras")
    files = find_digits(tiny_mnist)
    images, labels = read_without_ray(files, split_rows(files, run.data), inverted_copies=True)
    finished = finish(run_dir, network, images, labels, {"mnist": len(labels) // 2})
    assert finished.checkpoint.record["metrics"]["epoch"] == 2
    assert [epoch["epoch"] for epoch in finished.checkpoint.record["history"]] == [1, 2, 3]


def test_the_keras_file_is_written_once_for_each_network_and_holds_its_best_epoch(uninterrupted):
    run_dir, _, _ = uninterrupted
    for network in Run.read(run_dir).networks:
        epochs = runs.finished_epochs(run_dir, network)
        with_file = [name for name in epochs if checkpoints.KERAS_MODEL in (run_dir / name).files()]
        best = runs.best_epoch(run_dir, network)
        assert with_file == [best.name]
        model = keras.models.load_model(f"{best.path}/{checkpoints.KERAS_MODEL}")
        for array, weights in zip(model.get_weights(), best.weights.values(), strict=True):
            np.testing.assert_array_equal(array, weights)


def test_a_network_that_was_trained_but_lacks_its_keras_file_gets_it_when_it_goes_on(
    uninterrupted, tiny_mnist, tmp_path
):
    complete_dir, _, _ = uninterrupted
    run_dir, trained = Storage.open(tmp_path) / "stopped", {"baseline": ALL_NETWORKS["baseline"]}
    for epoch in (1, 2, 3):
        name = f"baseline-seed0-epoch{epoch:03d}"
        shutil.copytree(
            (complete_dir / name).path, (run_dir / name).path, ignore=shutil.ignore_patterns(checkpoints.KERAS_MODEL)
        )
    events, _ = train(tiny_mnist, run_dir, 2, trained)
    assert not [event for event in events if event["event"] == "epoch"]
    (network,) = Run.read(run_dir).networks
    assert runs.read_keras_file(runs.best_epoch(run_dir, network))


def baseline(**training):
    return {"baseline": Recipe(architecture=RECIPES["baseline"].architecture, training=replace(TRAINING, **training))}


def test_a_loss_that_is_not_finite_ends_training_with_epoch_rate_and_remedy_and_without_another_try(
    tiny_mnist, tmp_path
):
    events = []
    with pytest.raises(TrainingError) as ended:
        train(tiny_mnist, Storage.open(tmp_path) / "diverged", 1, baseline(learning_rate=1e30), events.append)
    assert "baseline-seed0 is not finite in epoch 1, with a learning rate of 1e+30" in ended.value.happened
    assert "--learning-rate 0.001" in ended.value.remedy
    # Starting again would tell failure, and progress of the first epoch from its beginning.
    fractions = [event["fraction"] for event in events if event["event"] == "progress"]
    assert {event["event"] for event in events} == {"begun", "progress", "diverged"}
    assert fractions == sorted(fractions)


def test_what_fails_while_events_are_shown_ends_training_at_once(tiny_mnist, tmp_path):
    epochs = 10_000  # days
    told = []

    def show(event):
        told.append(event["event"])
        if event["event"] == "epoch":
            raise BrokenPipeError("nobody reads")

    with pytest.raises(BrokenPipeError, match="nobody reads"):
        train(tiny_mnist, Storage.open(tmp_path) / "unseen", 1, baseline(epochs=epochs), show)
    assert told[-1] == "epoch" and told.count("epoch") == 1
