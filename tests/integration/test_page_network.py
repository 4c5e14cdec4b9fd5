"""The page network in Keras: equal in onnxruntime, learning, and going on from where it stood."""

from itertools import pairwise

import numpy as np
import pytest
import tensorflow as tf

from digits.models.page_network import build_page_network
from digits.models.page_onnx import onnx_file
from digits.models.page_targets import CHANNELS, PageArchitecture, targets_of
from digits.reading.detect import Detector
from digits.storage import Storage
from digits.training.reader import run as runs
from digits.training.reader.loop import fit
from digits.training.reader.run import PageTraining
from digits.training.state import Diverged

SMALL = PageArchitecture(stem=8, fine=8, trunk=16, head=8, dilations=(1, 2))


@pytest.mark.parametrize("architecture", [SMALL, PageArchitecture()])
def test_onnxruntime_says_what_keras_says(architecture):
    model = build_page_network(architecture)
    rng = np.random.default_rng(0)
    for variable in model.weights:
        if "moving_variance" in variable.path:
            variable.assign(rng.uniform(0.5, 2, variable.shape))
        elif "_norm" in variable.path:
            variable.assign(variable.numpy() + rng.normal(0, 0.3, variable.shape))
    detector = Detector(onnx_file(architecture, {variable.path: variable.numpy() for variable in model.weights}))
    maps = rng.integers(0, 256, (2, 96, 160, 2)).astype(np.float32)
    ours = detector.session.run(None, {"maps": maps.transpose(0, 3, 1, 2)})[0].transpose(0, 2, 3, 1)
    assert ours.shape == (2, 24, 40, CHANNELS)
    assert np.abs(ours - model(maps).numpy()).max() < 1e-4


def batches(first=0):
    """Always the same square pattern: bars that are ones and rings that are noughts."""
    maps, parts = np.zeros((8, 64, 64, 2), np.uint8), []
    for number in range(8):
        x = 8 + 5 * number
        maps[number, 20:40, x : x + 3, 0] = 200
        parts.append(targets_of([(x, 20, x + 3, 40, 1)], np.zeros((64, 64), bool), 0))
    centres, boxes, digits = (np.stack(part) for part in zip(*parts, strict=True))
    while True:
        yield {"maps": maps, "centres": centres, "boxes": boxes, "digits": digits}


def test_training_ends_at_the_step_whose_losses_are_not_finite():
    def damaged():
        for number, batch in enumerate(batches()):
            yield {**batch, "boxes": batch["boxes"] * np.float16(np.nan)} if number == 13 else batch

    given, states = damaged(), []
    config = PageTraining(epochs=3, squares_per_epoch=80, global_batch_size=8)
    strategy = tf.distribute.get_strategy()
    with pytest.raises(Diverged) as ended:
        fit(
            SMALL, config, given, strategy=strategy, resume=None, score=lambda state: None, report=states.append
        )  # fmt: skip
    assert (ended.value.epoch, len(states)) == (2, 1)


def trained(epochs, resume=None):
    config = PageTraining(epochs=epochs, squares_per_epoch=80, global_batch_size=8)
    states = []
    fit(
        SMALL,
        config,
        batches(),
        strategy=tf.distribute.get_strategy(),
        resume=resume,
        score=lambda state: {"error_rate": 0.5, "answered": 0.0} if config.is_judged(len(state.history)) else None,
        report=states.append,
    )
    return states


def test_training_learns_and_what_was_interrupted_goes_on_as_if_it_had_not_been(tmp_path):
    whole = trained(4)
    losses = [epoch.centre_loss for epoch in whole[-1].history]
    assert losses[-1] < 0.7 * losses[0]
    assert [epoch.error_rate for epoch in whole[-1].history][-1] == 0.5
    folder = Storage.open(tmp_path) / runs.epoch_name(2)
    runs.write_state(folder, whole[1])
    resumed = trained(4, resume=runs.read_state(folder))
    assert [epoch.epoch for epoch in resumed[-1].history] == [1, 2, 3, 4]
    for path, mean in whole[-1].mean.items():
        assert np.allclose(resumed[-1].mean[path], mean, atol=1e-5), path


def test_the_mean_moves_towards_the_weights_after_each_step_by_a_share_that_falls():
    config, states = PageTraining(epochs=4, squares_per_epoch=8, global_batch_size=8), []
    strategy = tf.distribute.get_strategy()
    fit(
        SMALL, config, batches(), strategy=strategy, resume=None, score=lambda state: None, report=states.append
    )  # fmt: skip
    for step, (before, after) in enumerate(pairwise(states), 2):
        for path, mean in after.mean.items():
            expected = before.mean[path] + 50 / (step + 50) * (after.weights[path] - before.mean[path])
            np.testing.assert_allclose(mean, expected, rtol=1e-4, atol=1e-6, err_msg=path)
    assert not np.allclose(states[-1].mean["stem_conv/kernel"], states[-1].weights["stem_conv/kernel"])
