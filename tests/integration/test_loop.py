"""The training loop without Ray: dropout drops what it should, and parts of a batch add up to the whole batch."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from digits.config import BASELINE, OUTLIER, Recipe, TrainingConfig
from digits.data.batches import Columns
from digits.models.calibration import energy
from digits.models.inference import Classifier
from digits.models.layers import Dropout
from digits.models.network import build_model, build_training_model
from digits.training import loop
from digits.training.batch_parts import in_parts, parts_of
from digits.training.loop import Device, WorkerDigits, fit
from digits.training.state import Diverged
from digits.training.trainable import count_correct, with_none

DROPPING = replace(BASELINE, dropouts=(0.15, 0.18, 0.2), dense_units=16, dense_dropout=0.3)
"""A network that drops activations after each layer."""


@pytest.fixture(scope="module")
def digits():
    """Noise with labels that can be learned from it: 100 digits."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 100)
    return (rng.integers(0, 100, (100, 28, 28)) + 15 * labels[:, None, None]).astype(np.uint8), labels


def trained_in(digits, cores, batch_size, *, architecture=BASELINE, resume=None):
    """The states of two epochs, or of what is left of them."""
    columns = Columns.of(100, batch_size, inverted_copies=False)
    recipe = Recipe(architecture=architecture, training=TrainingConfig(epochs=2, global_batch_size=batch_size))
    epochs, states = [digits] * (1 if resume else 2), []
    own = WorkerDigits(epochs=epochs, validation=digits, photos=lambda: digits)
    fit(recipe, columns, own, report=states.append, resume=resume, device=Device(cores=cores))
    return states


def dropped(rate, shape, *, seed=0, number=0, step=0, place=0):
    """What dropout lets through of ones."""
    return Dropout(rate, seed=seed, number=number).drop(tf.ones(shape), tf.constant(step, tf.int64), place).numpy()


def test_photos_without_a_digit_count_as_errors_and_have_no_loss(digits):
    images, labels = digits
    some, none = np.arange(100) < 50, labels.copy()
    none[~some] = -1
    histories = []
    for photos in ((images[some], labels[some]), (images, none)):
        own, states = WorkerDigits(epochs=[digits], validation=digits, photos=lambda photos=photos: photos), []
        recipe = Recipe(architecture=BASELINE, training=TrainingConfig(epochs=1, global_batch_size=20))
        fit(recipe, Columns.of(100, 20, inverted_copies=False), own, report=states.append)
        histories.append(states[0].history[0])
    alone, among_others = histories
    assert among_others.photo_loss == pytest.approx(alone.photo_loss, rel=1e-5)
    assert among_others.photo_score == pytest.approx(alone.photo_score / 2)
    assert among_others.validation_loss != among_others.photo_loss


def fitted(epochs, validation, *, batch_size=20, photos=None, **settings):
    """States after training the baseline on the digits of each epoch, and what was told of the progress."""
    training = TrainingConfig(epochs=len(epochs), global_batch_size=batch_size, **settings)
    own = WorkerDigits(epochs=epochs, validation=validation, photos=lambda: photos or validation)
    states, told = [], []
    fit(
        Recipe(architecture=BASELINE, training=training),
        Columns.of(100, batch_size, inverted_copies=False),
        own,
        report=states.append,
        progress=lambda epoch, fraction: told.append((epoch, fraction)),
    )
    return states, told


def test_each_epoch_trains_on_its_own_digits_which_are_moved_once_where_they_are_equal(digits, monkeypatch):
    images, labels = digits
    moved = []
    on_device = loop.on_device
    monkeypatch.setattr(loop, "on_device", lambda each: moved.append(each) or on_device(each))
    others = (images[::-1].copy(), labels)
    states = [fitted(epochs, digits)[0][-1] for epochs in ([digits, digits], [digits, others])]
    assert states[0].history[0].train_loss == states[1].history[0].train_loss
    assert states[0].history[1].train_loss != pytest.approx(states[1].history[1].train_loss, rel=1e-3)
    assert sum(each is digits for each in moved) == 2 and sum(each is others for each in moved) == 1


def test_what_a_worker_trains_with_is_made_by_name_and_stays_as_it_is():
    assert Device().cores == 1
    for described in (Device, WorkerDigits):
        params = described.__dataclass_params__
        assert params.frozen and not params.eq  # arrays have no one answer to whether they are equal
        with pytest.raises(TypeError, match="takes 1 positional argument"):
            described(1)


def test_progress_is_told_from_the_first_epoch_to_the_end_of_the_last(digits):
    _, told = fitted([digits, digits], digits)
    for epoch in (1, 2):
        fractions = [fraction for number, fraction in told if number == epoch]
        assert fractions == sorted(fractions) and fractions[0] > 0 and fractions[-1] == 1
    assert {number for number, _ in told} == {1, 2}


def test_an_epoch_of_one_step_trains(digits):
    states, _ = fitted([digits], digits, batch_size=100)
    assert states[0].history[0].train_loss > 1  # the mean over all digits of that one step


def test_losses_are_means_whatever_the_labels_are(digits):
    zeros = digits[0][:40], np.zeros(40, np.int64)
    twice = tuple(np.concatenate([each, each]) for each in zeros)
    losses = [fitted([digits], digits, photos=photos)[0][0].history[0].photo_loss for photos in (zeros, twice)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_a_cosine_ends_near_nothing_and_a_constant_rate_stays(digits):
    rates = {
        schedule: [
            epoch.learning_rate
            for epoch in fitted([digits] * 2, digits, learning_rate_schedule=schedule)[0][-1].history
        ]
        for schedule in ("constant", "cosine")
    }
    first = TrainingConfig(epochs=2).learning_rate
    assert rates["constant"] == pytest.approx([first, first])
    # Ten steps, from the first rate to nothing: after the fifth, four ninths of the way.
    assert rates["cosine"] == pytest.approx([first * (1 + np.cos(4 / 9 * np.pi)) / 2, 0], abs=first / 1000)


def test_what_is_no_digit_is_an_eleventh_class_whose_log_odds_are_the_energy_score():
    logits = np.random.default_rng(0).normal(0, 3, (3, 10)).astype(np.float32)
    labels, all_logits = with_none(tf.constant([2, 9, OUTLIER]), tf.constant(logits))
    losses = keras.losses.sparse_categorical_crossentropy(labels, all_logits, from_logits=True).numpy()
    scores = energy(logits)
    expected = np.log1p(np.exp(scores)) - [logits[0, 2], logits[1, 9], 0]
    assert losses == pytest.approx(expected, rel=1e-5)
    strange = tf.constant([[-1.0] * 10, [1.0] + [-1.0] * 9])
    right = count_correct(*with_none(tf.constant([OUTLIER, OUTLIER]), strange), tf.ones(2))
    assert float(right) == 1


def test_a_network_that_was_shown_what_is_no_digit_finds_it_stranger_than_digits(digits):
    images, labels = digits
    others = np.zeros((100, 28, 28), np.uint8)
    others[:, ::3] = np.random.default_rng(1).integers(150, 250, (100, 1, 1))  # stripes
    strange = np.arange(100) % 4 == 0
    shown = np.where(strange[:, None, None], others, images), np.where(strange, OUTLIER, labels)
    scores = {}
    for outliers in (0.0, 0.25):
        kept = digits if not outliers else shown
        states, _ = fitted([kept] * 20, digits, outliers=outliers, distort=True, learning_rate=0.003)
        classify = Classifier(BASELINE, states[-1].weights)
        scores[outliers] = [energy(classify.logits(each)).mean() for each in (images, others)]
        assert np.isfinite(states[-1].history[-1].train_loss) and 0 <= states[-1].history[-1].train_accuracy <= 1
    (digit, other) = scores[0.25]
    assert digit > 0 > other, "log-odds that a digit is there"
    assert digit - other > scores[0.0][0] - scores[0.0][1] + 2


@pytest.mark.parametrize("rate", [0.15, 0.5])
def test_dropout_drops_its_rate_scales_the_rest_and_draws_anew(rate):
    shape = (31, 23, 129)
    first, second = dropped(rate, shape), dropped(rate, shape, step=1)
    assert np.unique(first) == pytest.approx([0, 1 / (1 - rate)])
    others = [second, dropped(rate, shape, number=1), dropped(rate, shape, seed=1), dropped(rate, shape, place=31)]
    for zeros in (first == 0, *(other == 0 for other in others)):
        # Four standard deviations of the share, for the whole and for the shares along each axis.
        assert zeros.mean() == pytest.approx(rate, abs=4 * np.sqrt(rate * (1 - rate) / zeros.size))
        for axis in range(3):
            shares = zeros.mean(axis=tuple({0, 1, 2} - {axis}))
            size = zeros.size / len(shares)
            assert np.abs(shares - rate).max() < 5 * np.sqrt(rate * (1 - rate) / size)
    # Which are dropped together is chance: between steps, layers, seeds and digits, and between neighbours, whose bits
    # come from one number.
    for other in others:
        assert ((first == 0) & (other == 0)).mean() == pytest.approx(rate**2, abs=0.01)
    neighbours = first.reshape(-1)[: first.size // 2 * 2].reshape(-1, 2) == 0
    assert neighbours.all(axis=1).mean() == pytest.approx(rate**2, abs=0.01)


@pytest.mark.parametrize("activations", [1, 12, 13, 128, 1000])
def test_a_digit_drops_the_same_wherever_it_is_computed(activations):
    whole = dropped(0.3, (40, activations), seed=7, number=2, step=11)
    parts = [dropped(0.3, (8, activations), seed=7, number=2, step=11, place=place) for place in range(0, 40, 8)]
    assert np.array_equal(np.concatenate(parts), whole)


def test_a_rate_between_two_of_256_levels_is_exact_on_average():
    zeros = dropped(0.15, (1000, 2000)) == 0
    assert zeros.mean() == pytest.approx(0.15, abs=0.001)  # 38 of 256 are 0.1484


def test_the_network_that_trains_on_one_channel_is_the_one_that_everybody_builds():
    architecture = replace(BASELINE, dense_units=16)
    models = []
    for build in (build_model, lambda architecture: build_training_model(architecture, seed=3)):
        keras.utils.set_random_seed(3)
        models.append(build(architecture))
    for one, other in zip(*(model.trainable_variables for model in models), strict=True):
        assert np.array_equal(one, other)
    grey = np.random.default_rng(0).integers(0, 256, (8, 28, 28, 1), np.uint8)
    results, shown = [], (np.repeat(grey, 3, axis=-1), grey)
    for model, images, last in zip(models, shown, (tf.identity, tf.nn.softmax), strict=True):
        with tf.GradientTape() as tape:
            probabilities = last(model(images, training=True))
            loss = -tf.reduce_mean(tf.math.log(probabilities[:, 0]))
        results.append((probabilities, *tape.gradient(loss, [v.value for v in model.trainable_variables])))
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6, rtol=1e-4)


def test_dropout_takes_any_rate_that_the_configuration_allows():
    almost_everything = dropped(1 - 1e-9, (100, 100))
    assert np.isfinite(almost_everything).all()
    assert (almost_everything == 0).mean() > 0.99
    assert (dropped(0.999, (2000, 500)) == 0).mean() == pytest.approx(0.999, abs=5e-4)


def test_dropout_passes_everything_when_it_does_not_train():
    ones = tf.ones((2, 3))
    assert np.array_equal(Dropout(0.5, seed=0, number=0)(ones), ones)


@pytest.mark.parametrize("architecture", [BASELINE, DROPPING], ids=["baseline", "dropping"])
def test_a_batch_in_parts_trains_as_the_whole_batch(digits, architecture):
    whole, parts = (trained_in(digits, cores, 50, architecture=architecture) for cores in (1, 3))
    assert parts_of(50, 3) == 3
    for one, other in zip(whole, parts, strict=True):
        assert other.history[-1].train_loss == pytest.approx(one.history[-1].train_loss, abs=1e-5)
        assert other.history[-1].train_accuracy == one.history[-1].train_accuracy
        for name, weights in one.weights.items():
            np.testing.assert_allclose(other.weights[name], weights, atol=1e-5, err_msg=name)


def test_a_resumed_training_draws_the_masks_of_an_uninterrupted_one(digits):
    first, last = trained_in(digits, 1, 50, architecture=DROPPING)
    (resumed,) = trained_in(digits, 1, 50, architecture=DROPPING, resume=first)
    for name, weights in last.weights.items():
        assert np.array_equal(resumed.weights[name], weights), name


def test_a_loss_that_is_not_finite_ends_training_after_its_epoch(digits):
    columns = Columns.of(100, 50, inverted_copies=False)
    recipe = Recipe(architecture=BASELINE, training=TrainingConfig(epochs=3, global_batch_size=50, learning_rate=1e25))
    own, states = WorkerDigits(epochs=[digits] * 3, validation=digits, photos=lambda: digits), []
    with pytest.raises(Diverged) as ended:
        fit(recipe, columns, own, report=states.append)
    assert ended.value.epoch == len(states) + 1
    for state in states:
        assert np.isfinite([state.history[-1].train_loss, state.history[-1].validation_loss]).all()
        assert all(np.isfinite(weights).all() for weights in state.weights.values())


def test_parts_are_neither_too_small_nor_too_large_and_padding_is_no_digit():
    assert [parts_of(batch, 8) for batch in (1, 16, 32, 128, 500)] == [1, 1, 2, 8, 15]
    assert [parts_of(batch, 1) for batch in (1, 32, 63, 64, 128)] == [1, 1, 1, 2, 4]
    order = in_parts(np.arange(10, dtype=np.int32).reshape(2, 5), 4)
    assert order.dtype == np.int32
    assert order.tolist() == [[0, 1, 2, 3, 4, -1, -1, -1], [5, 6, 7, 8, 9, -1, -1, -1]]
