"""Where everything is on the sheet, in millimetres from the outer corner of its first mark; x to the right, y down.

The same on every paper: the frame, from mark to mark, is smaller than A4 and US Letter, and lies in their middle.
"""

import cv2
import numpy as np

PAPERS = {"a4": (297.0, 210.0), "letter": (279.4, 215.9)}
"""Width and height of each paper, lying."""
WIDTH, HEIGHT = 259.0, 190.0
"""Of the frame."""
ROWS, COLUMNS = 5, 10
BOX = 23.0
"""Side of a box, to the middle of its lines."""
FIRST, PITCH = (1.0, 27.0), (26.0, 29.0)
"""Left and top of the first box, and from one box to the next."""
MARK = 16.0
"""Side of a mark."""
CORNERS = ("top left", "top right", "bottom right", "bottom left")
"""The corners in which the marks 0 to 3 of the dictionary stand."""
DICTIONARY = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_4X4_50)
"""ArUco marks (Garrido-Jurado et al., 2014): each knows its number and which way up it is."""


def box_corner(row: int, column: int) -> tuple[float, float]:
    """Left and top of a box."""
    return FIRST[0] + column * PITCH[0], FIRST[1] + row * PITCH[1]


def outline(left: float, top: float, side: float) -> np.ndarray:
    """The corners of a square, float64 (4, 2), clockwise from its top left."""
    return np.array([(left, top), (left + side, top), (left + side, top + side), (left, top + side)])


def mark_outline(number: int) -> np.ndarray:
    """The corners of a mark, float64 (4, 2), clockwise from its top left."""
    return outline((WIDTH - MARK) * (number in (1, 2)), (HEIGHT - MARK) * (number in (2, 3)), MARK)


def mark_cells(number: int) -> np.ndarray:
    """bool (6, 6): which cells of a mark are black."""
    side = DICTIONARY.markerSize + 2
    return cv2.aruco.generateImageMarker(DICTIONARY, number, side) == 0
