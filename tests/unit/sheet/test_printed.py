"""The sheet that is printed: its marks and boxes are where photos are searched for them, and this file is served."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from digits.errors import ConfigurationError
from digits.service.api import STATIC
from digits.sheet import layout
from digits.sheet.find import find_marks
from digits.sheet.printed import INCH_MM, pdf, rendered

DPI = 150
SCALE = DPI / INCH_MM


@pytest.fixture(params=list(layout.PAPERS))
def paper(request):
    return request.param


def test_the_file_that_is_served_is_what_the_command_writes(paper):
    served = Path(STATIC / f"sheet-{paper}.pdf").read_bytes()
    assert served == pdf(paper) and served.startswith(b"%PDF") and len(served) < 60_000


def test_a_page_is_as_large_as_its_paper_and_keeps_a_margin_that_printers_need(paper):
    width, height = layout.PAPERS[paper]
    points = [float(number) for number in pdf(paper).partition(b"/MediaBox [")[2].partition(b"]")[0].split()]
    assert points == pytest.approx([0, 0, width / INCH_MM * 72, height / INCH_MM * 72], abs=0.1)
    inked = np.argwhere(rendered(paper, DPI).min(axis=2) < 250) / SCALE
    assert inked.min() > 9 and inked[:, 0].max() < height - 9 and inked[:, 1].max() < width - 9


def test_marks_and_boxes_are_printed_where_the_layout_says(paper):
    page, (width, height) = rendered(paper, DPI), layout.PAPERS[paper]
    edge = np.array((width - layout.WIDTH, height - layout.HEIGHT)) / 2
    marks = find_marks(page)
    assert sorted(marks.corners) == [0, 1, 2, 3] and not marks.repeated
    for number, corners in marks.corners.items():
        # A pixel's middle is half a pixel from its corner.
        assert np.abs((corners + 0.5) / SCALE - edge - layout.mark_outline(number)).max() < 0.15
    grey = cv2.cvtColor(page, cv2.COLOR_RGB2GRAY)
    for row in range(layout.ROWS):
        for column in range(layout.COLUMNS):
            left, top = np.array(layout.box_corner(row, column)) + edge
            inner = slice(*(np.array((top + 1, top + layout.BOX - 1)) * SCALE).astype(int))
            across = slice(*(np.array((left + 1, left + layout.BOX - 1)) * SCALE).astype(int))
            assert grey[inner, across].min() > 250
            for x in (left, left + layout.BOX):
                line = round(x * SCALE)
                assert grey[inner, line - 2 : line + 2].min(axis=1).max() < 210


def test_boxes_lie_apart_from_each_other_and_from_the_marks():
    last = layout.box_corner(layout.ROWS - 1, layout.COLUMNS - 1)
    assert min(layout.PITCH) - layout.BOX >= 3
    assert layout.box_corner(0, 0)[1] > layout.MARK + 4 and last[1] + layout.BOX < layout.HEIGHT - layout.MARK - 4
    assert layout.box_corner(0, 0)[0] >= 0 and last[0] + layout.BOX <= layout.WIDTH


def test_another_paper_is_refused():
    with pytest.raises(ConfigurationError, match="a5"):
        pdf("a5")
