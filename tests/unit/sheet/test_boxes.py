"""From a photo of the sheet to its boxes: however it lies, is bent or lit; and what is said where that cannot be."""

import time

import cv2
import numpy as np
import pytest

from digits.errors import SheetError
from digits.images import resize_photo
from digits.models import checkpoints
from digits.models.inference import build_classifier
from digits.models.registry import SHIPPED_BASELINE
from digits.reading.networks import shipped
from digits.reading.one_digit import look_at_box
from digits.sheet.boxes import cut_boxes
from digits.sheet.find import LEAST_BOX, find_marks, locate
from digits.sheet.layout import BOX, box_corner

PAPER, EMPTY = 235, frozenset({(1, 7), (4, 0)})
HOWEVER = [
    {},
    {"turn": 90, "bend_mm": 2.0, "perspective": 0.12},
    {"turn": 180, "pen": "ballpoint", "shadow": 0.5},
    {"turn": 270, "pen": "marker", "paper": "letter", "side": 1800},
    {"turn": 23, "noise": 8.0, "blur": 1.5},
    {"turn": -40, "bend_mm": 1.5},
]


def test_however_it_lies_the_shipped_networks_read_the_digits_that_were_written(sheet_photo):
    written = right = 0
    for seed, conditions in enumerate(HOWEVER):
        boxes = cut_boxes(sheet_photo(seed, empty=EMPTY, **conditions))
        assert [(box.row, box.column) for box in boxes] == [(row, column) for row in range(5) for column in range(10)]
        assert {(box.row, box.column) for box in boxes if box.empty} == EMPTY, conditions
        for box in boxes:
            if not box.empty:
                look = look_at_box(box.picture, shipped().reader)
                right += int(look.answer(shipped().classifier.answers).argmax()) == box.label
                written += 1
    assert written == 48 * len(HOWEVER) and right >= 0.98 * written


def test_the_articles_network_reads_far_fewer_of_them_shrunk_whole(filled_sheet):
    boxes = [box for box in cut_boxes(filled_sheet) if not box.empty]
    baseline = build_classifier(checkpoints.load(str(SHIPPED_BASELINE)), 1)
    answers = baseline.probabilities(np.stack([resize_photo(box.picture) for box in boxes])).argmax(1)
    assert 8 < (answers == [box.label for box in boxes]).sum() < 40


@pytest.mark.parametrize("bend_mm", [0.0, 2.0])
def test_a_box_is_cut_without_its_lines_and_upright(sheet_photo, bend_mm):
    nothing = frozenset((row, column) for row in range(5) for column in range(10)) - {(0, 0)}
    boxes = cut_boxes(sheet_photo(3, empty=nothing, turn=130, bend_mm=bend_mm, shadow=0, noise=1))
    for box in boxes:
        assert box.picture.dtype == np.uint8 and box.picture.shape[2] == 3
        assert all(abs(side - (BOX - 2) * 6) <= 7 for side in box.picture.shape[:2])
        if box.empty:
            grey = cv2.cvtColor(box.picture, cv2.COLOR_RGB2GRAY).astype(float)
            assert grey.min() > 0.88 * np.median(grey), box.name
    assert [box.name for box in boxes if not box.empty] == ["row 1, digit 0"]


def test_specks_and_a_shadow_alone_leave_a_sheet_empty(sheet_photo):
    everything = frozenset((row, column) for row in range(5) for column in range(10))
    photo = sheet_photo(4, empty=everything, shadow=0.6)
    middles = np.array([box_corner(*box) for box in sorted(everything)]) + BOX / 2
    for x, y in np.rint(cv2.perspectiveTransform(middles[None], locate(photo))[0]).astype(int).tolist():
        cv2.circle(photo, (x, y), 3, (60, 60, 60), -1)
    with pytest.raises(SheetError, match="nothing is written") as refused:
        cut_boxes(photo)
    assert refused.value.reason == "unwritten"


def covered(photo, *numbers):
    """The photo with some marks painted over."""
    corners = find_marks(photo).corners
    photo = photo.copy()
    for number in numbers:
        cv2.fillConvexPoly(photo, np.rint(corners[number]).astype(np.int32), (PAPER,) * 3)
    return photo


@pytest.mark.parametrize(
    ("numbers", "reason", "words"),
    [
        ((2,), "marks_missing", "only 3 of the sheet's four marks are seen; missing: bottom right"),
        ((0, 3), "marks_missing", "only 2 of the sheet's four marks are seen; missing: top left and bottom left"),
        ((0, 1, 2), "not_a_sheet", "no sheet of fifty boxes"),
    ],
)
def test_marks_that_are_missing_are_named(filled_sheet, numbers, reason, words):
    with pytest.raises(SheetError, match=words) as refused:
        cut_boxes(covered(filled_sheet, *numbers))
    assert refused.value.reason == reason


def refusal_of(photo):
    with pytest.raises(SheetError) as refused:
        locate(photo)
    return refused.value


def test_what_is_no_usable_photo_of_one_sheet_says_so(filled_sheet):
    small = cv2.resize(filled_sheet, None, fx=0.3, fy=0.3, interpolation=cv2.INTER_AREA)
    assert refusal_of(small).reason == "too_small" and f"at least {LEAST_BOX} pixels" in str(refusal_of(small))
    assert refusal_of(np.concatenate([filled_sheet, filled_sheet], axis=1)).reason == "two_sheets"
    assert refusal_of(np.full((900, 1200, 3), 200, np.uint8)).reason == "not_a_sheet"
    assert refusal_of(np.ascontiguousarray(filled_sheet[:, ::-1])).reason == "not_a_sheet"  # a mirror


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 4000, 3), (4000, 1, 3), (3, 3, 3), (28, 28, 3)])
def test_no_picture_crashes_it(shape):
    for photo in (np.zeros(shape, np.uint8), np.random.default_rng(0).integers(0, 256, shape, np.uint8)):
        assert refusal_of(photo).reason == "not_a_sheet"


def test_thousands_of_squares_that_might_be_marks_take_no_long_time():
    """Without a bound on how small a mark may be these take seconds; with it, hundredths of one."""
    board = np.full((1200, 1200, 3), 255, np.uint8)
    for offset in range(4, 14):
        board[offset::14, 4:] = np.where((np.arange(1196) % 14 < 10)[None, :, None], 0, board[offset::14, 4:])
    start = time.process_time()
    assert refusal_of(board).reason == "not_a_sheet"
    assert time.process_time() - start < 1.5


def test_a_folded_sheet_is_told_from_a_flat_one(filled_sheet):
    """A fold moves one mark, and leaves it as large and as it was turned: no plane has all four so."""
    left, top = np.rint(find_marks(filled_sheet).corners[2].mean(axis=0)).astype(int) - 75
    folded = filled_sheet.copy()
    folded[top : top + 150, left : left + 150] = PAPER
    folded[top - 100 : top + 50, left : left + 150] = filled_sheet[top : top + 150, left : left + 150]
    assert refusal_of(folded).reason == "not_flat"


def test_the_sheet_is_found_where_it_lies(sheet_photo):
    flat = sheet_photo(5, perspective=0, shadow=0, blur=0, noise=0, side=2000)
    to_photo = locate(flat)
    boxes = [box_corner(0, 0), box_corner(4, 9)]
    seen = cv2.perspectiveTransform(np.array([boxes]), to_photo)[0]
    scale = 0.94 * 2000 / np.hypot(297, 210)
    from_middle = np.array(boxes) - (129.5, 95)
    assert np.abs(seen - (1000 + scale * from_middle)).max() < 2
