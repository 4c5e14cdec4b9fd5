"""What is taken for the digit of a picture: MNIST's form as it comes, else the ink that is heaviest near the middle."""

import numpy as np
import pytest

from digits.errors import NoDigitFound
from digits.preprocessing import mnist_form
from digits.preprocessing import prepare as preparation
from digits.preprocessing.prepare import Place, Prepared, prepare


def drawn(left=4, top=4, width=20, height=20, size=28):
    """An even rectangle, as MNIST would draw it, in a picture of this size: uint8 (size, size)."""
    picture = np.zeros((size, size), np.uint8)
    picture[top : top + height, left : left + width] = 255
    return picture


def came(grey) -> bool:
    """Whether a picture is taken as it came."""
    photo = np.repeat(grey[..., None], 3, axis=2) if grey.ndim == 2 else grey
    try:
        return prepare(photo).as_it_came
    except NoDigitFound:
        return False


def reaching_an_edge():
    """About as long as MNIST's, its mass in the middle, and one pixel of it in the first row."""
    picture = drawn(left=5, top=10, width=19, height=10)
    picture[0, 14] = 30
    return picture


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        pytest.param(drawn(), True, id="20 pixels, in the middle"),
        pytest.param(255 - drawn(), True, id="dark on white"),
        pytest.param(drawn(width=21, height=9, left=4, top=10), True, id="21 pixels"),
        pytest.param(drawn(width=19, height=9, left=5, top=10), True, id="19 pixels"),
        pytest.param(drawn(width=22, height=9, left=3, top=10), False, id="22 pixels"),
        pytest.param(drawn(width=18, height=9, left=5, top=10), False, id="18 pixels"),
        pytest.param(drawn(left=5), True, id="half a pixel beside the middle"),
        pytest.param(drawn(left=6), False, id="a pixel and a half beside the middle"),
        pytest.param(drawn(top=6), False, id="a pixel and a half below the middle"),
        pytest.param((drawn() * 0.75).astype(np.uint8), False, id="pale"),
        pytest.param(np.maximum(drawn(), 1), False, id="paper that is not quite black"),
        pytest.param(reaching_an_edge(), False, id="at the upper edge"),
        pytest.param(reaching_an_edge()[::-1], False, id="at the lower edge"),
        pytest.param(reaching_an_edge().T, False, id="at the left edge"),
        pytest.param(reaching_an_edge().T[:, ::-1], False, id="at the right edge"),
        pytest.param(drawn(size=40), False, id="in a larger picture"),
        pytest.param(np.stack([drawn(), drawn() // 2, drawn()], axis=-1), False, id="in colour"),
        pytest.param(np.zeros((28, 28), np.uint8), False, id="nothing"),
    ],
)
def test_what_is_in_mnists_form_is_taken_as_it_came(picture, expected):
    assert came(picture) is expected


def test_what_comes_as_mnist_draws_it_is_not_drawn_anew():
    for picture in (drawn(), 255 - drawn()):
        prepared = prepare(np.repeat(picture[..., None], 3, axis=2))
        assert np.array_equal(prepared.image, drawn())
        assert prepared.box == (4 / 28, 4 / 28, 24 / 28, 24 / 28)


def plausibility(x, y):
    """Of a blob of 10 x 10 pixels around this point of a frame 100 pixels high and 200 wide."""
    return preparation._plausibility(np.ones((10, 10), np.uint8), (x - 5, y - 5, 10, 10), (100, 200))


def test_ink_counts_less_the_farther_it_is_from_the_middle():
    assert plausibility(100, 50) == pytest.approx(1, abs=0.005)
    assert plausibility(50, 50) == pytest.approx(1 - 0.6 * 50 / 200, abs=0.005)
    assert plausibility(150, 50) == pytest.approx(1 - 0.6 * 50 / 200, abs=0.005)
    assert plausibility(100, 10) == pytest.approx(1 - 0.6 * 40 / 200, abs=0.005)
    assert plausibility(100, 90) == pytest.approx(1 - 0.6 * 40 / 200, abs=0.005)


def chosen(*blobs, touching=0.1):
    """Left and top of what is chosen among squares (left, top, side) of equal ink."""
    ink = np.zeros((200, 200), np.float32)
    for left, top, side in blobs:
        ink[top : top + side, left : left + side] = 100
    found = preparation._main_component(ink, 20, touching)
    return None if found is None else found[1][:2]


def test_the_heaviest_ink_near_the_middle_is_the_digit():
    middle = (90, 90, 20)
    assert chosen(middle) == (90, 90) and chosen() is None
    assert chosen(middle, (10, 10, 22)) == (90, 90)  # a fifth more ink, in a corner
    assert chosen(middle, (30, 30, 40)) == (30, 30)  # four times as much, half way
    assert chosen(middle, (0, 80, 50)) == (90, 90)  # six times as much, cut by the frame
    assert chosen(middle, (0, 80, 50), touching=0.9) == (0, 80)


@pytest.mark.parametrize(
    ("box", "touches"),
    [
        ((2, 2, 10, 10), False),
        ((1, 20, 10, 10), True),
        ((20, 1, 10, 10), True),
        ((88, 20, 10, 10), False),
        ((89, 20, 10, 10), True),
        ((20, 38, 10, 10), False),
        ((20, 39, 10, 10), True),
    ],
)
def test_what_touches_the_frame(box, touches):
    assert preparation._touches(box, (50, 100)) is touches


@pytest.mark.parametrize(
    "photo",
    [
        [1, 2],
        np.zeros((20, 20), np.uint8),
        np.zeros((20, 20, 4), np.uint8),
        np.zeros((20, 20, 3), np.float32),
        np.zeros((2, 20, 20, 3), np.uint8),
    ],
)
def test_what_is_no_photo_is_refused(photo):
    with pytest.raises(NoDigitFound, match=r"expected: a photo as uint8 \(height, width, 3\)") as refused:
        prepare(photo)
    assert refused.value.reason == "not_a_photo"


@pytest.mark.parametrize(("shape", "reason"), [((5, 40), "too_small"), ((40, 5), "too_small"), ((6, 6), "blank")])
def test_a_photo_has_at_least_six_pixels_a_side(shape, reason):
    with pytest.raises(NoDigitFound) as refused:
        prepare(np.full((*shape, 3), 200, np.uint8))
    assert refused.value.reason == reason


def test_what_was_found_is_made_by_name_and_stays_as_it_is():
    for described in (Prepared, Place):
        assert described.__dataclass_params__.frozen
        with pytest.raises(TypeError, match="takes 1 positional argument"):
            described(0)
    for described in (Prepared, mnist_form._Piece):  # arrays have no one answer to whether they are equal
        assert described.__dataclass_params__.frozen and not described.__dataclass_params__.eq
