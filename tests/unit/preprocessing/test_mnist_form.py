"""A digit's strokes: which pieces belong to it, how wide they become, and where they stand in 28x28."""

import cv2
import numpy as np
import pytest

from digits.preprocessing import mnist_form


def joined(*pieces, shape=(200, 300), level=1.0):
    """Mask of what belongs to the first of some rectangles (left, top, width, height), all of one ink."""
    ink = np.zeros(shape, np.float32)
    labels = np.zeros(shape, np.int32)
    for number, (left, top, width, height) in enumerate(pieces, start=1):
        ink[top : top + height, left : left + width] = level if number > 1 else 1.0
        labels[top : top + height, left : left + width] = number
    mask = mnist_form.join_pieces(ink, labels, 1)
    return [bool(mask[top, left]) for left, top, _, _ in pieces[1:]]


MAIN = (100, 50, 40, 50)
"""50 pixels tall and 40 wide: a gap may be 15 pixels, and 6 beside it for one about as tall."""


@pytest.mark.parametrize(
    ("piece", "belongs"),
    [
        pytest.param((150, 60, 10, 20), True, id="a bar to the right"),
        pytest.param((150, 55, 10, 40), False, id="a neighbour to the right"),
        pytest.param((144, 55, 10, 40), True, id="as tall, but close"),
        pytest.param((80, 60, 10, 20), True, id="a bar to the left"),
        pytest.param((80, 55, 10, 40), False, id="a neighbour to the left"),
        pytest.param((150, 60, 10, 30), True, id="six tenths as tall"),
        pytest.param((150, 60, 10, 31), False, id="more than six tenths"),
        pytest.param((110, 10, 20, 31), True, id="as tall, but above"),
        pytest.param((131, 110, 20, 40), True, id="as tall, but hardly to the side"),
        pytest.param((132, 110, 20, 40), False, id="as tall, and to the side"),
        pytest.param((89, 110, 20, 40), True, id="as tall, hardly to the left"),
        pytest.param((88, 110, 20, 40), False, id="as tall, and to the left"),
        pytest.param((160, 60, 10, 20), False, id="too far"),
        pytest.param((145, 60, 7, 8), False, id="a speck"),
        pytest.param((145, 60, 8, 8), True, id="just more than a speck"),
    ],
)
def test_which_pieces_belong_to_a_digit(piece, belongs):
    assert joined(MAIN, piece) == [belongs]


def test_a_speck_is_one_beside_all_that_belongs():
    speck, bar = (145, 85, 8, 8), (145, 55, 15, 25)
    assert joined(MAIN, speck) == [True] and joined(MAIN, bar) == [True]
    assert joined(MAIN, bar, speck) == [True, False]


@pytest.mark.parametrize(("level", "belongs"), [(0.61, True), (0.59, False)])
def test_a_faint_piece_shines_through(level, belongs):
    assert joined(MAIN, (150, 60, 10, 20), level=level) == [belongs]


@pytest.mark.parametrize(
    ("piece", "belongs"),
    [
        ((2, 30, 10, 20), True),
        ((1, 30, 10, 20), False),
        ((30, 2, 10, 8), True),
        ((30, 1, 10, 8), False),
        ((70, 30, 8, 20), True),  # its last column is the last but one of the frame
        ((71, 30, 8, 20), False),
        ((30, 75, 10, 13), True),
        ((30, 76, 10, 13), False),
    ],
)
def test_what_the_frame_cuts_belongs_to_something_else(piece, belongs):
    main = (20, 15, 40, 50)
    assert joined(main, piece, shape=(90, 80)) == [belongs]


def bars(width, height=100, thickness=10):
    """An L of solid strokes."""
    strokes = np.zeros((height, width), np.float32)
    strokes[:, :thickness] = strokes[-thickness:] = 1
    return strokes


@pytest.mark.parametrize("thickness", [4, 13, 17, 21, 30, 40])
def test_strokes_become_as_wide_as_mnists(thickness):
    strokes = mnist_form.normalise_stroke_width(bars(80, thickness=thickness))
    width = mnist_form.stroke_width(strokes > 0.5) / max(strokes.shape) * 20
    assert 2.2 < width < 5.5
    if 17 <= thickness <= 21:
        assert strokes.shape == (100, 80)


def test_a_disc_is_as_wide_as_it_says():
    assert [mnist_form._disc(radius).shape for radius in (0, 1, 4)] == [(1, 1), (3, 3), (9, 9)]


def test_a_stroke_is_twice_as_wide_as_its_middle_is_far_from_its_edge():
    for width in (9, 15, 31):
        mask = np.zeros((120, 120), bool)
        mask[10:110, 40 : 40 + width] = True
        assert mnist_form.stroke_width(mask) == pytest.approx(width, rel=0.15)


@pytest.mark.parametrize("shape", [(100, 80), (30, 100), (100, 3), (7, 5)])
def test_a_digit_fits_mnists_box_with_its_mass_in_the_middle(shape):
    strokes = np.ones(shape, np.float32)
    image = mnist_form.draw_as_mnist(strokes)
    _, _, width, height = cv2.boundingRect((image > 60).astype(np.uint8))
    assert image.dtype == np.uint8 and image.max() == 255 and 19 <= max(width, height) <= 21
    x, y = mnist_form.centre_of_mass(image.astype(np.float32))
    assert x == pytest.approx(14, abs=0.15) and y == pytest.approx(14, abs=0.15)


def test_each_component_is_weighed_by_its_ink():
    labels = np.array([[0, 1, 1], [2, 0, 0], [2, 2, 0]], np.int32)
    ink = np.arange(9, dtype=np.float32).reshape(3, 3)
    assert mnist_form.weigh_components(labels, ink, 4).tolist() == [0, 3, 16, 0]


@pytest.mark.parametrize("faint", [0.2, 0.24])
def test_ink_is_made_solid_and_what_is_faint_is_paper(faint):
    ink = np.full((60, 60), faint, np.float32)
    ink[10:50, 20:30] = 1.0
    ink[10:50, 30:34] = 0.425  # half as strong as solid ink has to be
    strokes = mnist_form.select_strokes(ink, (15, 5, 45, 55))
    assert strokes.shape[0] == 40 and strokes[20, 3] == 1 and strokes[20, 12] == pytest.approx(0.5, abs=0.01)
