"""Synthesised digits look like digits: ten classes, drawn as MNIST is, repeatable, and true to their names."""

import cv2
import numpy as np
import pytest

from digits.augmentation import letterforms
from digits.augmentation.hand import Hand, draw
from digits.augmentation.letterforms import LETTERFORMS, synthesise
from digits.config import MNIST_BOX, MNIST_CENTRE

EACH_DIGIT = np.repeat(np.arange(10), 30)


@pytest.fixture(scope="module")
def written() -> np.ndarray:
    """uint8 (300, 28, 28): thirty of each digit."""
    return synthesise(EACH_DIGIT, np.random.default_rng(5))


def examples(form, count: int = 40) -> list[np.ndarray]:
    """uint8 (28, 28) drawings of one letterform with a thin round pen."""
    return [draw(form(Hand(seed)), 3.0) for seed in range(count)]


def holes(image: np.ndarray) -> int:
    """Regions of black that the ink encloses."""
    background = np.pad((image < 100).astype(np.uint8), 1, constant_values=1)
    return cv2.connectedComponents(background, connectivity=4)[0] - 2


def most(values) -> bool:
    return np.mean(list(values)) > 0.75


def extent(ink: np.ndarray, axis: int) -> np.ndarray:
    """Rows or columns between the first and last with ink: int (N,)."""
    lines = ink.any(3 - axis)
    return lines.shape[1] - lines[:, ::-1].argmax(1) - lines.argmax(1)


def test_synthesis_keeps_the_image_contract(written):
    assert written.dtype == np.uint8 and written.shape == (300, 28, 28)
    assert np.all(written.max((1, 2)) > 180), "ink is light"
    assert (written[:, 0] < 40).all(1).mean() > 0.95 and np.median(written) == 0, "ground is black"


def test_equal_generators_write_equal_digits():
    def once(seed):
        return synthesise(EACH_DIGIT, np.random.default_rng(seed))

    np.testing.assert_array_equal(once(3), once(3))
    assert not np.array_equal(once(3), once(4))


def test_consecutive_calls_write_different_digits():
    rng = np.random.default_rng(3)
    assert not np.array_equal(synthesise(EACH_DIGIT, rng), synthesise(EACH_DIGIT, rng))


def test_no_labels_give_no_digits():
    assert synthesise(np.empty(0, int), np.random.default_rng(0)).shape == (0, 28, 28)


def test_every_digit_has_letterforms_of_its_own():
    assert sorted(LETTERFORMS) == list(range(10))
    forms = [form for by_frequency in LETTERFORMS.values() for form in by_frequency]
    assert len(set(forms)) == len(forms)
    assert all(form.__doc__ for form in forms)


@pytest.mark.parametrize("digit", range(10))
def test_every_letterform_is_drawn_inside_the_frame(digit):
    for form in LETTERFORMS[digit]:
        for image in examples(form, 20):
            assert image.max() > 100, form.__name__


def test_digits_are_boxed_and_centred_by_mass_as_in_mnist(written):
    rows, columns = np.indices((28, 28))
    weight = written.astype(float)
    total = weight.sum((1, 2))
    assert np.abs((weight * rows).sum((1, 2)) / total - MNIST_CENTRE).max() < 0.7
    assert np.abs((weight * columns).sum((1, 2)) / total - MNIST_CENTRE).max() < 0.7
    ink = written > 100
    sides = np.maximum(extent(ink, 1), extent(ink, 2))
    assert sides.min() >= MNIST_BOX - 3 and sides.max() <= MNIST_BOX + 2


def test_zeros_eights_and_bowls_enclose_what_their_shape_encloses():
    assert most(holes(image) == 1 for image in examples(letterforms.closed_four))
    assert most(holes(image) == 2 for image in examples(letterforms.stacked_eight))
    assert most(holes(image) >= 2 for image in examples(letterforms.slashed_zero))
    assert most(holes(image) == 0 for image in examples(letterforms.open_four))
    assert most(holes(image) == 0 for image in examples(letterforms.crossed_seven))


def test_a_peaked_one_has_two_legs_and_a_footed_one_a_wide_base():
    def legs(image):
        row = (image[18] > 100).astype(int)
        return int((np.diff(np.pad(row, 1)) == 1).sum())

    def base(image):
        rows = np.nonzero((image > 100).any(1))[0]
        return (image[rows[-2]] > 100).sum()

    assert np.mean([base(image) for image in examples(letterforms.footed_one)]) > 2 * np.mean(
        [base(image) for image in examples(letterforms.flagged_one)]
    )
    assert np.mean([legs(image) for image in examples(letterforms.peaked_one)]) > 1.1
    assert np.mean([legs(image) for image in examples(letterforms.flagged_one)]) == pytest.approx(1, abs=0.1)


def test_synthesised_digits_resemble_their_class_and_no_other():
    """A nearest-neighbour reader, given other drawings, tells the ten digits apart."""

    def features(images):
        blurred = np.stack([cv2.GaussianBlur(image, (0, 0), 1.5) for image in images]).reshape(len(images), -1)
        return blurred / np.linalg.norm(blurred.astype(float), axis=1, keepdims=True)

    known_labels = np.repeat(np.arange(10), 150)
    known = features(synthesise(known_labels, np.random.default_rng(1)))
    similarity = features(synthesise(EACH_DIGIT, np.random.default_rng(2))) @ known.T
    read = known_labels[similarity.argmax(1)]
    assert (read == EACH_DIGIT).mean() > 0.93
