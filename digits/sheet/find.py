"""Finds the sheet in a photo by its four marks: however it lies turned, and from whatever side it was photographed."""

from dataclasses import dataclass

import cv2
import numpy as np

from digits.errors import SheetError
from digits.sheet.layout import BOX, COLUMNS, CORNERS, DICTIONARY, ROWS, box_corner, mark_outline, outline

LEAST_SIDE = 850
"""Longer side, in pixels, of the smallest picture in which a sheet's boxes can have LEAST_BOX pixels."""
SHEET_SIDE = 2000
"""Longer side, in pixels, at which photos of a sheet are decoded: a box then has LEAST_BOX pixels in any good photo."""
LEAST_BOX = 60
"""Pixels that the shortest side of every box must have in the photo."""
LOOKED_AT = 1200
"""Longer side, in pixels, of the reduced photo in which marks are looked for first."""
LEAST_MARK = 0.06
"""Perimeter of the smallest mark that is looked for, as a fraction of the photo's longer side: a sheet that fills less
is too small anyway, and a picture of thousands of small squares takes no long time."""
FLAT_MM = 1.5
"""How far a corner of a mark may be from where a flat sheet would have it; about 0.2 where it lies flat."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Marks:
    """The marks of a sheet that a photo shows."""

    corners: dict[int, np.ndarray]
    """By number: the mark's corners in pixels of the photo, float64 (4, 2), clockwise from its own top left."""
    repeated: bool
    """Whether a mark is there twice."""

    @property
    def is_sheet(self) -> bool:
        """Whether the photo is one of a sheet: one mark alone may be a pattern that looks like it."""
        return len(self.corners) >= 2


def find_marks(photo: np.ndarray) -> Marks:
    """The marks in a photo, uint8 (H, W, 3): in a reduced one first, and in full where that does not show all."""
    grey = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
    scale = min(1.0, LOOKED_AT / max(grey.shape))
    size = tuple(max(1, round(side * scale)) for side in grey.shape[::-1])
    marks = marks_in(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), scale)
    # A photo without any mark is no sheet, and is not looked at for longer.
    return marks if scale == 1 or len(marks.corners) in (0, len(CORNERS)) else marks_in(grey, 1.0)


def marks_in(grey: np.ndarray, scale: float) -> Marks:
    """The marks in uint8 (H, W), a photo times `scale`."""
    parameters = cv2.aruco.DetectorParameters()
    parameters.minMarkerPerimeterRate = LEAST_MARK
    parameters.cornerRefinementMethod = cv2.aruco.CORNER_REFINE_SUBPIX
    found, numbers, _ = cv2.aruco.ArucoDetector(DICTIONARY, parameters).detectMarkers(grey)
    ours = [
        (int(number), corners.reshape(4, 2).astype(np.float64) / scale)
        for number, corners in zip(np.ravel(numbers) if numbers is not None else (), found, strict=True)
        if number < len(CORNERS)
    ]
    return Marks(corners=dict(ours), repeated=len(dict(ours)) < len(ours))


def locate(photo: np.ndarray) -> np.ndarray:
    """Where the sheet lies in a photo, uint8 (H, W, 3): float64 (3, 3), from its millimetres to the photo's pixels.

    SheetError says what keeps the boxes from being cut out.
    """
    marks = find_marks(photo)
    missing = [name for number, name in enumerate(CORNERS) if number not in marks.corners]
    if not marks.is_sheet:
        raise SheetError("the picture shows no sheet of fifty boxes", reason="not_a_sheet")
    if marks.repeated:
        raise SheetError("the picture shows more than one sheet", reason="two_sheets")
    if missing:
        raise SheetError(
            f"only {len(marks.corners)} of the sheet's four marks are seen; missing: {' and '.join(missing)}",
            remedy="photograph the whole sheet again: every corner in view, nothing on the marks, in focus",
            reason="marks_missing",
        )
    numbers = range(len(CORNERS))
    on_sheet = np.concatenate([mark_outline(number) for number in numbers])
    in_photo = np.concatenate([marks.corners[number] for number in numbers])
    to_photo, _ = cv2.findHomography(on_sheet, in_photo)
    if to_photo is None or not off_by(on_sheet, in_photo) <= FLAT_MM:
        raise SheetError(
            "the sheet is bent or folded: its marks do not lie in one plane",
            remedy="lay the sheet flat and photograph it again",
            reason="not_flat",
        )
    if (shortest := shortest_side(to_photo)) < LEAST_BOX:
        raise SheetError(
            f"the sheet is too small in the photo: a box has {shortest:.0f} pixels a side",
            f"at least {LEAST_BOX} pixels for every box",
            "photograph it from nearer and less from the side, and send the photo as the camera made it, not reduced",
            reason="too_small",
        )
    return to_photo


def off_by(on_sheet: np.ndarray, in_photo: np.ndarray) -> float:
    """The farthest distance, in millimetres on the sheet, of points of a photo from where a flat sheet has them.

    Both float64 (N, 2); infinite where no plane fits at all.
    """
    to_sheet, _ = cv2.findHomography(in_photo, on_sheet)
    if to_sheet is None:
        return float("inf")
    back = cv2.perspectiveTransform(in_photo[None], to_sheet)[0]
    return float(np.linalg.norm(back - on_sheet, axis=1).max())


def shortest_side(to_photo: np.ndarray) -> float:
    """The shortest side of any box, in pixels of the photo."""
    boxes = [outline(*box_corner(row, column), BOX) for row in (0, ROWS - 1) for column in (0, COLUMNS - 1)]
    seen = cv2.perspectiveTransform(np.array(boxes), to_photo)
    return float(np.linalg.norm(seen - np.roll(seen, 1, axis=1), axis=2).min())
