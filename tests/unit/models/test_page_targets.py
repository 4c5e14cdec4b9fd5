"""What the page network is asked for."""

import numpy as np

from digits.models.page_targets import NO_DIGIT, SCALE, STRIDE, UNKNOWN, targets_of

NOTHING = np.zeros((96, 96), bool)


def test_a_digit_has_one_centre_with_its_box_and_label():
    centres, boxes, labels = targets_of([(20, 30, 40, 62, 5)], NOTHING, 0)
    assert centres.shape == (24, 24, 4) and boxes.shape == (24, 24, 4) and labels.shape == (24, 24)
    (row,), (column,) = np.nonzero(centres[..., 0] == 1)
    assert labels[row, column] == 5
    log_width, log_height, to_x, to_y = boxes[row, column].astype(float)
    assert np.allclose((SCALE * np.exp(log_width), SCALE * np.exp(log_height)), (20, 32), rtol=0.01)
    assert np.allclose(((column + 0.5 + to_x) * STRIDE, (row + 0.5 + to_y) * STRIDE), (30, 46), atol=0.1)
    assert labels[0, 0] == NO_DIGIT and centres[0, 0, 0] == 0
    assert np.all(centres[..., 1:] == 0)


def test_what_looks_like_a_digit_upside_down_is_not_asked_for_that_way_up():
    for label, unknown in ((6, True), (8, True), (1, True), (5, False), (7, False)):
        centres, _, _ = targets_of([(20, 30, 40, 62, label)], NOTHING, 0)
        assert np.any(centres[..., 2] == UNKNOWN) == unknown
        centres, _, _ = targets_of([(20, 30, 40, 62, label)], NOTHING, 1)
        assert np.any(centres[..., 3] == UNKNOWN) == unknown
        assert np.max(centres[..., 1]) == 1


def test_ignored_places_are_asked_for_nothing_unless_a_digit_is_there():
    ignored = NOTHING.copy()
    ignored[24:72, :] = True
    centres, _, _ = targets_of([(20, 30, 40, 62, 5)], ignored, 0)
    assert np.max(centres[..., 0]) == 1
    assert centres[10, 20, 0] == UNKNOWN and centres[2, 20, 0] == 0


def test_digits_side_by_side_keep_a_centre_each():
    digits = [(10 + 7 * n, 20, 15 + 7 * n, 40, 1) for n in range(6)]
    centres, _, _ = targets_of(digits, NOTHING, 0)
    assert np.sum(centres[..., 0] == 1) == 6
