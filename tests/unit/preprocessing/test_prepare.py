"""A digit is drawn on all kinds of paper in all kinds of light; prepare_photo must always see the same digit.

The yardstick is the same strokes in black on flawless white: what is prepared from a photo must correlate with what
is prepared from that.
"""

import functools

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from digits.errors import NoDigitFound
from digits.images import decode_image, encode_png, invert, to_rgb
from digits.preprocessing.ink import ink_strength
from digits.preprocessing.prepare import prepare_photo

# Strokes through points in a box of 0.7 x 1; the last point of one stroke does not join the next.
STROKES = {
    1: [[(0.2, 0.22), (0.42, 0.0), (0.38, 1.0)]],
    2: [[(0.05, 0.2), (0.3, 0.0), (0.62, 0.18), (0.45, 0.55), (0.03, 0.98), (0.68, 0.95)]],
    4: [[(0.42, 0.0), (0.02, 0.62), (0.7, 0.6)], [(0.5, 0.3), (0.46, 1.0)]],
    5: [
        [(0.14, 0.05), (0.08, 0.42), (0.4, 0.36), (0.62, 0.65), (0.42, 0.97), (0.03, 0.92)],
        [(0.12, 0.04), (0.62, 0.0)],
    ],
    7: [[(0.02, 0.04), (0.68, 0.0), (0.25, 1.0)]],
    8: [[(0.55, 0.12), (0.25, 0.0), (0.1, 0.2), (0.6, 0.7), (0.35, 1.0), (0.05, 0.78), (0.6, 0.22), (0.55, 0.12)]],
}
DIGITS = sorted(STROKES)
some_digits = pytest.mark.parametrize("digit", [2, 5, 8])


def draw(
    digit: int,
    *,
    shape: tuple[int, int] = (300, 400),
    size: float = 150,
    width: float = 12,
    centre: tuple[float, float] = (0.5, 0.5),
    shift: tuple[float, float] = (0.0, 0.0),
) -> np.ndarray:
    """Ink coverage, float32 (H, W) in 0..1, of a digit `size` pixels tall drawn with strokes `width` pixels wide."""
    scale = 3
    canvas = np.zeros((shape[0] * scale, shape[1] * scale), dtype=np.uint8)
    middle = np.array([centre[0] * shape[1], centre[1] * shape[0]]) + shift
    for stroke in STROKES[digit]:
        points = ((np.array(stroke) - (0.35, 0.5)) * (size - width) + middle) * scale
        cv2.polylines(
            canvas, [np.round(points).astype(np.int32)], False, 255, max(1, round(width * scale)), cv2.LINE_AA
        )
    return cv2.resize(canvas, shape[::-1], interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def photograph(ink: np.ndarray, *, paper=(225, 222, 215), pen=(45, 45, 60), light=1.0, noise=2.0, seed=0) -> np.ndarray:
    """uint8 (H, W, 3): ink of one colour over paper, of one colour or float32 (H, W, 3), in light (H, W)."""
    paper = np.broadcast_to(np.array(paper, dtype=np.float32), (*ink.shape, 3))
    scene = paper * (1 - ink[..., None]) + np.array(pen, dtype=np.float32) * ink[..., None]
    scene = scene * np.broadcast_to(light, ink.shape)[..., None]
    scene = scene + np.random.default_rng(seed).normal(0, noise, scene.shape)
    return np.clip(np.round(scene), 0, 255).astype(np.uint8)


def likeness(photo: np.ndarray, digit: int, **drawing) -> float:
    """Correlation of what is prepared from the photo with what is prepared from a flawless drawing."""
    prepared = prepare_photo(photo)
    assert prepared.shape == (28, 28) and prepared.dtype == np.uint8
    return correlation(prepared, prepare_flawless(digit, **drawing))


@functools.cache
def prepare_flawless(digit: int, **drawing) -> np.ndarray:
    return prepare_photo(photograph(draw(digit, **drawing), paper=(255,) * 3, pen=(0,) * 3, noise=0))


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def rows_and_columns(shape=(300, 400)) -> tuple[np.ndarray, np.ndarray]:
    return np.mgrid[: shape[0], : shape[1]].astype(np.float32)


def ruled(distance: int = 26, *, squared: bool, colour=(150, 170, 205), paper=(228, 226, 220), shape=(300, 400)):
    """Paper, float32 (H, W, 3), with lines two pixels wide that run a little askew."""
    y, x = rows_and_columns(shape)
    on_line = (y + 0.03 * x) % distance < 2
    if squared:
        on_line |= (x - 0.03 * y) % distance < 2
    return np.where(on_line[..., None], np.float32(colour), np.float32(paper))


# ---- light, paper and pens -------------------------------------------------------------------------------------


@some_digits
@pytest.mark.parametrize(
    ("paper", "pen"),
    [
        ((225, 222, 215), (45, 45, 60)),  # pen on paper
        ((50, 60, 55), (215, 215, 205)),  # chalk on a blackboard
        ((130, 130, 130), (60, 60, 60)),  # grey paper
        ((70, 68, 66), (25, 25, 30)),  # dim
        ((255, 255, 255), (175, 175, 185)),  # over-exposed
        ((240, 220, 90), (200, 40, 40)),  # red on a yellow note
        ((120, 200, 230), (30, 60, 180)),  # blue on a blue note
        ((240, 130, 160), (20, 120, 60)),  # green on a pink note
        ((120, 150, 200), (200, 140, 70)),  # orange on blue of the same brightness
        ((235, 235, 235), (235, 215, 70)),  # yellow on white
        ((220, 220, 215), (205, 205, 200)),  # pencil, contrast 15
    ],
)
def test_any_ink_on_any_paper(digit, paper, pen):
    assert likeness(photograph(draw(digit), paper=paper, pen=pen), digit) > 0.95


@some_digits
@pytest.mark.parametrize("angle", [0.4, 2.6])
def test_a_gradient_of_light(digit, angle):
    y, x = rows_and_columns()
    light = 0.65 + 0.35 * ((x - 200) * np.cos(angle) + (y - 150) * np.sin(angle)) / 250
    assert likeness(photograph(draw(digit), light=light), digit) > 0.95
    assert likeness(photograph(draw(digit), light=light, pen=(150, 150, 150)), digit) > 0.93


@some_digits
@pytest.mark.parametrize("angle", [0.1, 1.6, 3.9])
def test_the_hard_edge_of_a_shadow_across_the_digit(digit, angle):
    y, x = rows_and_columns()
    distance = (x - 195) * np.cos(angle) + (y - 155) * np.sin(angle)
    light = 1 - 0.45 / (1 + np.exp(-distance))
    assert likeness(photograph(draw(digit), light=light), digit) > 0.9


@some_digits
@pytest.mark.parametrize("squared", [True, False])
@pytest.mark.parametrize("pen", [(45, 45, 60), (120, 120, 125)])
def test_squared_and_lined_paper(digit, squared, pen):
    assert likeness(photograph(draw(digit), paper=ruled(squared=squared), pen=pen), digit) > 0.93


@some_digits
def test_a_page_with_a_margin_and_holes(digit):
    paper = ruled(squared=False)
    paper[:, 60:62] = (210, 90, 100)
    for row in range(15, 300, 30):
        cv2.circle(paper, (15, row), 5, (60, 60, 60), -1)
    assert likeness(photograph(draw(digit), paper=paper), digit) > 0.93


@some_digits
def test_print_that_shows_through(digit):
    print_behind = np.zeros((300, 400), dtype=np.uint8)
    for row in range(20, 300, 28):
        cv2.putText(print_behind, "the quick brown fox jumps over", (4, row), cv2.FONT_HERSHEY_COMPLEX, 0.7, 255, 1)
    mirrored = cv2.GaussianBlur(print_behind[:, ::-1], (0, 0), 1).astype(np.float32) / 255
    paper = np.float32((225, 222, 215)) - 45 * mirrored[..., None]
    assert likeness(photograph(draw(digit), paper=paper), digit) > 0.95


@some_digits
@pytest.mark.parametrize("width", [1.2, 4, 8, 14, 22, 32])
def test_strokes_from_a_pixel_to_a_third_of_the_digit(digit, width):
    """Thin strokes are widened and thick ones thinned to MNIST's: a drawing with a middling pen is the yardstick."""
    photo = photograph(draw(digit, width=width), noise=1)
    assert likeness(photo, digit) > (0.85 if width <= 14 else 0.7)


@some_digits
def test_noise_blur_and_jpeg(digit):
    assert likeness(photograph(draw(digit), noise=20), digit) > 0.95
    assert likeness(cv2.GaussianBlur(photograph(draw(digit)), (0, 0), 4), digit) > 0.93
    ok, data = cv2.imencode(".jpg", photograph(draw(digit)), [cv2.IMWRITE_JPEG_QUALITY, 10])
    assert ok and likeness(decode_image(data.tobytes()), digit) > 0.95


# ---- what else is in the frame ---------------------------------------------------------------------------------


@some_digits
@pytest.mark.parametrize("pen", [(45, 45, 60), (150, 150, 150)])
@pytest.mark.parametrize("side", [(0, 150, 45, 150), (300, 300, 310, 265)])
def test_a_finger_that_holds_the_paper(digit, pen, side):
    photo = photograph(draw(digit), pen=pen)
    cv2.line(photo, side[:2], side[2:], (170, 120, 100), 50, cv2.LINE_AA)
    assert likeness(photo, digit) > 0.95


@some_digits
@pytest.mark.parametrize("table", [(90, 60, 40), (30, 30, 35), (250, 250, 245), (60, 80, 110)])
def test_a_table_beside_the_paper(digit, table):
    y, x = rows_and_columns()
    beside = (x + 0.1 * y > 370) | (y < 20)
    paper = np.where(beside[..., None], np.float32(table), np.float32((225, 222, 215)))
    for pen in ((45, 45, 60), (140, 140, 145)):
        assert likeness(photograph(draw(digit), paper=paper, pen=pen), digit) > 0.95


@some_digits
@pytest.mark.parametrize("width", [12, 40, 56])
def test_a_digit_that_fills_the_frame(digit, width):
    drawing = {"shape": (280, 200), "size": 278, "width": width}
    assert likeness(photograph(draw(digit, **drawing)), digit, size=200, width=200 * width / 278) > 0.9


@some_digits
@pytest.mark.parametrize("centre", [(0.13, 0.5), (0.87, 0.5), (0.5, 0.25), (0.5, 0.75)])
def test_a_digit_that_touches_the_edge(digit, centre):
    assert likeness(photograph(draw(digit, centre=centre)), digit) > 0.9


@some_digits
@pytest.mark.parametrize("fraction", [0.03, 0.17])
def test_a_small_digit_in_a_photo_of_12_megapixels(digit, fraction):
    size = fraction * 4000
    ink = draw(digit, shape=(750, 1000), size=size / 4, width=size / 40, centre=(0.4, 0.55))
    photo = cv2.resize(photograph(ink), (4000, 3000), interpolation=cv2.INTER_LINEAR)
    ok, data = cv2.imencode(".jpg", photo)
    assert ok and likeness(decode_image(data.tobytes()), digit) > 0.85


@pytest.mark.parametrize("digit", [2, 4, 7])
def test_strokes_broken_in_two_stay_one_digit(digit):
    ink = draw(digit)
    (x, y) = STROKES[digit][0][-2]
    gap = (round(200 + (x - 0.35) * 138), round(150 + (y - 0.5) * 138))
    cv2.circle(ink, gap, 11, 0, -1)
    assert likeness(photograph(ink), digit) > 0.85


@pytest.mark.parametrize("shape", [(1, 120, 3), (120, 1, 3), (2, 3, 3)])
def test_a_close_up_may_be_one_pixel_wide(shape):
    ink = ink_strength(np.full(shape, 200, np.uint8), np.array([-0.6, -0.6, -0.6], np.float32), 10.0)
    assert np.allclose(ink, 0, atol=1e-3)
    assert ink.shape == shape[:2]


def test_a_bar_drawn_apart_belongs_to_the_five():
    ink = draw(5)
    cv2.circle(ink, (170, 82), 16, 0, -1)
    assert likeness(photograph(ink), 5) > 0.85


@some_digits
def test_of_two_digits_the_one_in_the_middle_is_read(digit):
    ink = np.maximum(draw(digit), draw(2, centre=(0.85, 0.3), size=90, width=8))
    assert likeness(photograph(ink), digit) > 0.95


# ---- small pictures --------------------------------------------------------------------------------------------


def as_mnist(digit: int, **drawing) -> np.ndarray:
    """uint8 (28, 28): a digit in MNIST's form, made without the code under test."""
    ink = draw(digit, shape=(168, 168), size=120, width=17, **drawing)
    rows, columns = np.nonzero(ink)
    ink = ink[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    scale = 20 / max(ink.shape)
    ink = cv2.resize(ink, (round(ink.shape[1] * scale), round(ink.shape[0] * scale)), interpolation=cv2.INTER_AREA)
    y, x = np.mgrid[: ink.shape[0], : ink.shape[1]]
    top, left = round(14 - (y * ink).sum() / ink.sum()), round(14 - (x * ink).sum() / ink.sum())
    frame = np.zeros((28, 28), dtype=np.uint8)
    frame[top : top + ink.shape[0], left : left + ink.shape[1]] = np.round(255 * ink)
    return frame


@pytest.mark.parametrize("digit", DIGITS)
def test_pictures_in_mnist_form_pass_unchanged_in_both_polarities(digit):
    drawn = as_mnist(digit)
    np.testing.assert_array_equal(prepare_photo(to_rgb(drawn)), drawn)
    np.testing.assert_array_equal(prepare_photo(to_rgb(invert(drawn))), drawn)


@pytest.mark.parametrize("digit", DIGITS)
def test_mnist_digits_pass_nearly_unchanged_from_anywhere_in_a_larger_picture(digit):
    drawn = as_mnist(digit)
    larger = to_rgb(np.pad(drawn, ((2, 15), (9, 4))))
    assert correlation(prepare_photo(larger), drawn) > 0.93
    assert correlation(prepare_photo(np.kron(larger, np.ones((5, 5, 1), dtype=np.uint8))), drawn) > 0.93


@some_digits
@pytest.mark.parametrize(("side", "tall"), [(8, 8), (16, 15), (28, 18), (28, 26), (32, 24), (64, 40)])
def test_thumbnails(digit, side, tall):
    large = draw(digit, shape=(side * 16, side * 16), size=tall * 16, width=tall * 2)
    ink = cv2.resize(large, (side, side), interpolation=cv2.INTER_AREA)
    for paper, pen in (((255,) * 3, (0,) * 3), ((0,) * 3, (255,) * 3)):
        photo = photograph(np.round(ink * 16) / 16, paper=paper, pen=pen, noise=0)
        assert likeness(photo, digit) > (0.75 if side == 8 else 0.85)


# ---- MNIST's form ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("digit", DIGITS)
def test_the_digit_is_drawn_as_mnist_draws_it(digit):
    prepared = prepare_photo(photograph(draw(digit)))
    rows, columns = np.nonzero(prepared > 30)
    assert 18 <= max(np.ptp(rows), np.ptp(columns)) + 1 <= 22
    y, x = np.mgrid[:28, :28]
    assert abs((y * prepared.astype(float)).sum() / prepared.sum() - 14) < 0.6
    assert abs((x * prepared.astype(float)).sum() / prepared.sum() - 14) < 0.6
    assert prepared.max() >= 250 and np.median(prepared) == 0


# ---- moving, scaling, inverting --------------------------------------------------------------------------------


@settings(max_examples=10, deadline=None)
@given(digit=st.sampled_from(DIGITS), shift=st.tuples(st.floats(-80, 80), st.floats(-50, 50)))
def test_moving_the_digit_changes_nothing(digit, shift):
    assert likeness(photograph(draw(digit, shift=shift)), digit) > 0.95


@settings(max_examples=10, deadline=None)
@given(digit=st.sampled_from(DIGITS), scale=st.floats(0.25, 1.8))
def test_scaling_the_digit_changes_nothing(digit, scale):
    assert likeness(photograph(draw(digit, size=150 * scale, width=12 * scale)), digit) > 0.93


@settings(max_examples=10, deadline=None)
@given(digit=st.sampled_from(DIGITS), size=st.integers(60, 1600))
def test_scaling_the_picture_changes_nothing(digit, size):
    photo = photograph(draw(digit), noise=0)
    scaled = cv2.resize(photo, (size, round(size * 0.75)), interpolation=cv2.INTER_AREA)
    assert likeness(scaled, digit) > 0.93


@settings(max_examples=10, deadline=None)
@given(
    digit=st.sampled_from(DIGITS),
    paper=st.tuples(*[st.integers(0, 255)] * 3),
    pen=st.tuples(*[st.integers(0, 255)] * 3),
)
def test_inverting_the_picture_changes_nothing(digit, paper, pen):
    if np.abs(np.subtract(paper, pen)).max() < 40:
        return
    photo = photograph(draw(digit), paper=paper, pen=pen, noise=1)
    assert correlation(prepare_photo(photo), prepare_photo(invert(photo))) > 0.95


# ---- what is no digit ------------------------------------------------------------------------------------------


def refusal(photo: np.ndarray) -> str:
    with pytest.raises(NoDigitFound) as caught:
        prepare_photo(photo)
    assert "expected:" in str(caught.value) and "what to do:" in str(caught.value)
    return caught.value.reason


@pytest.mark.parametrize("shape", [(8, 8), (28, 28), (300, 400), (1200, 1600)])
@pytest.mark.parametrize("grey", [0, 128, 255])
def test_a_picture_of_one_colour_is_blank(shape, grey):
    assert refusal(np.full((*shape, 3), grey, dtype=np.uint8)) == "blank"


def test_empty_paper_is_blank_in_any_light():
    _, x = rows_and_columns()
    empty = np.zeros((300, 400), dtype=np.float32)
    assert refusal(photograph(empty)) in ("blank", "noise")
    assert refusal(photograph(empty, light=0.4 + 0.5 * x / 400)) in ("blank", "noise")
    assert refusal(photograph(empty, light=np.where(x > 200, 1, 0.6))) in ("blank", "noise")


@pytest.mark.parametrize("angle", np.arange(0.2, 6.2, 0.5).round(1))
@pytest.mark.parametrize("softness", [0.5, 4])
def test_a_slanted_shadow_on_empty_paper_is_no_digit(angle, softness):
    y, x = rows_and_columns()
    distance = (x - 195) * np.cos(angle) + (y - 155) * np.sin(angle)
    light = 1 - 0.4 * np.clip(0.5 + distance / (2 * softness), 0, 1)
    assert refusal(photograph(np.zeros((300, 400), np.float32), light=light)) in ("blank", "noise")


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("side", [28, 64, 200, 600])
def test_pure_noise_is_no_digit(side, seed):
    rng = np.random.default_rng(seed)
    assert refusal(to_rgb(rng.integers(0, 256, (side, side), dtype=np.uint8))) in ("noise", "blank", "clutter")
    gaussian = np.clip(rng.normal(180, 12, (side, side, 3)), 0, 255).astype(np.uint8)
    assert refusal(gaussian) in ("noise", "blank", "clutter")


def test_empty_squared_paper_and_texture_are_no_digit():
    assert refusal(photograph(np.zeros((300, 400), dtype=np.float32), paper=ruled(squared=True)))
    rng = np.random.default_rng(0)
    texture = cv2.resize(rng.normal(128, 40, (75, 100)).astype(np.float32), (400, 300), interpolation=cv2.INTER_CUBIC)
    assert refusal(to_rgb(np.clip(texture, 0, 255).astype(np.uint8))) in ("clutter", "noise")


def test_a_page_of_print_is_no_digit():
    page = np.full((400, 600, 3), 240, dtype=np.uint8)
    for row in range(20, 400, 24):
        cv2.putText(page, "all work and no play makes a page", (10, row), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (30,) * 3, 1)
    assert refusal(page) == "clutter"


def test_what_is_no_photo_is_refused():
    assert refusal(np.zeros((28, 28), dtype=np.uint8)) == "not_a_photo"
    assert refusal(np.zeros((28, 28, 3), dtype=np.float32)) == "not_a_photo"
    assert refusal(np.zeros((28, 28, 4), dtype=np.uint8)) == "not_a_photo"
    assert refusal([[1, 2], [3, 4]]) == "not_a_photo"
    assert refusal(np.zeros((0, 10, 3), dtype=np.uint8)) == "too_small"
    assert refusal(np.zeros((5, 500, 3), dtype=np.uint8)) == "too_small"


@settings(max_examples=40, deadline=None)
@given(hnp.arrays(np.uint8, st.tuples(st.integers(0, 40), st.integers(0, 40), st.just(3))))
def test_no_photo_crashes(photo):
    try:
        prepared = prepare_photo(photo)
    except NoDigitFound as error:
        assert error.reason
    else:
        assert prepared.shape == (28, 28) and prepared.dtype == np.uint8


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    shape=st.tuples(st.integers(1, 500), st.integers(1, 500)),
    rectangles=st.integers(0, 6),
    noise=st.sampled_from([0, 2, 60]),
)
def test_no_scene_crashes(seed, shape, rectangles, noise):
    rng = np.random.default_rng(seed)
    scene = np.full((*shape, 3), rng.integers(0, 256, 3), dtype=np.float32)
    for _ in range(rectangles):
        top, left = rng.integers(0, shape[0]), rng.integers(0, shape[1])
        scene[top : top + rng.integers(1, 60), left : left + rng.integers(1, 60)] = rng.integers(0, 256, 3)
    scene += rng.normal(0, noise, scene.shape)
    try:
        assert prepare_photo(np.clip(scene, 0, 255).astype(np.uint8)).shape == (28, 28)
    except NoDigitFound as error:
        assert error.reason


@settings(max_examples=40, deadline=None)
@given(hnp.arrays(hnp.scalar_dtypes(), hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=9)))
def test_no_array_of_any_shape_or_type_crashes(array):
    try:
        prepare_photo(array)
    except NoDigitFound as error:
        assert error.reason


def test_the_answer_does_not_depend_on_how_the_file_was_written():
    photo = photograph(draw(7))
    np.testing.assert_array_equal(prepare_photo(decode_image(encode_png(photo))), prepare_photo(photo))
    turned = np.ascontiguousarray(photo[::-1])[::-1]  # a view with negative strides
    np.testing.assert_array_equal(prepare_photo(turned), prepare_photo(photo))
    before = photo.copy()
    prepare_photo(photo)
    np.testing.assert_array_equal(photo, before)
