"""From any photo of one digit to what the network sees: light ink on black, drawn the way MNIST was made.

Step by step: ink.py separates ink from paper in a reduced photo, the overview; this file finds the digit there and
crops the photo to it, the close-up; ink.py separates its ink again; mnist_form.py draws it as 28x28.

How fast: docs/performance.md, "One picture, one prediction".
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from digits.config import IMAGE_SIZE, MNIST_BOX, MNIST_CENTRE
from digits.errors import NoDigitFound
from digits.images import invert
from digits.preprocessing.ink import ink_colours, ink_strength, percentile, resize_to
from digits.preprocessing.mnist_form import (
    centre_of_mass,
    draw_as_mnist,
    select_strokes,
    stroke_width,
    weigh_components,
)

OVERVIEW_SIZE = 280
"""Longer side of the reduced photo in which the digit is looked for, in pixels."""
SMALLEST_OVERVIEW = 112
"""Smaller pictures are enlarged to this first, so that strokes are a few pixels wide."""
TINY = 48
"""Pictures of at most this many pixels a side are taken to be cropped to their digit, on paper of one colour."""
CLOSE_UP_SIZE = 120
"""Longer side of the digit in the close-up from which its strokes are taken, in pixels."""
MARGIN = 0.45
"""Paper kept around the digit in the close-up, as a fraction of its longer side."""
MIN_CONTRAST = 5.0
"""Least difference between ink and paper, in grey levels of 255."""
MIN_CONTRAST_TO_NOISE = 3.0
"""Least ratio of that difference to the noise of the paper, where ink is faintest."""
MIN_LEVEL_TO_NOISE = 9.0
"""Least ratio of the digit's ink to the noise of the paper; faint pencil has 20 and more, pure noise at most 8."""
MAX_CANDIDATES = 20
"""How many things in a photo are considered as its digit, the inkiest first."""
GAIN = 1.05
"""What stands out at a higher threshold must score this many times as much to be taken instead."""
SPECKS = 0.001
"""Fraction of a photo that may differ from the paper although the photo is blank."""
MAX_RIVALS = 12
"""Most things in a photo that may rival its digit; texture has hundreds."""
RIVAL_MASS = 0.15
"""A rival is as inky as the digit and holds at least this fraction of its ink."""
MAX_CONTOURS = 30
"""Most outlines that a digit and its holes may have: an 8 has three, a net or noise has dozens."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the digit is in a photo, and how its ink differs from the paper."""

    box: tuple[float, float, float, float]
    """Left, top, right, bottom, as fractions of the photo's width and height."""
    ink_direction: np.ndarray
    """float32 (3,): unit vector from the colour of the paper to the colour of the ink."""
    stroke_width: float
    """Width of the strokes as a fraction of the longer side of the box."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Prepared:
    """A digit drawn as MNIST would have."""

    image: np.ndarray
    """uint8 (28, 28), light ink on black."""
    box: tuple[float, float, float, float]
    """Where it is in the photo: left, top, right, bottom, as fractions of width and height."""
    as_it_came: bool
    """Whether the picture was in MNIST's form already."""


def prepare_photo(photo: np.ndarray) -> np.ndarray:
    """Draw the digit in a photo as MNIST would have: uint8 (H, W, 3) to uint8 (28, 28), light ink on black.

    Raises NoDigitFound if the photo is blank, is noise, or shows nothing like one digit.
    """
    return prepare(photo).image


def prepare(photo: np.ndarray) -> Prepared:
    """As `prepare_photo`, with the digit's place in the photo."""
    _require_photo(photo)
    if (prepared := prepared_already(photo)) is not None:
        return prepared
    place = find_digit(photo)
    ink, box_of_ink = close_up(photo, place)
    return Prepared(image=draw_as_mnist(select_strokes(ink, box_of_ink)), box=place.box, as_it_came=False)


def _require_photo(photo: np.ndarray) -> None:
    if not (isinstance(photo, np.ndarray) and photo.dtype == np.uint8 and photo.ndim == 3 and photo.shape[2] == 3):
        raise NoDigitFound(
            f"got {getattr(photo, 'dtype', type(photo).__name__)} {getattr(photo, 'shape', '')}",
            "a photo as uint8 (height, width, 3)",
            "decode the picture with digits.images.decode_image",
            reason="not_a_photo",
        )
    if min(photo.shape[:2]) < 6:
        raise NoDigitFound(
            f"the picture is {photo.shape[1]} x {photo.shape[0]} pixels",
            "at least 6 x 6 pixels",
            "send a larger picture of the digit",
            reason="too_small",
        )


def prepared_already(photo: np.ndarray) -> Prepared | None:
    """A photo, uint8 (H, W, 3), as it came, if it is a digit in MNIST's form, in either polarity; else None.

    That is: 28x28, grey, on paper that is exactly black (or white), about 20 pixels long, centred by mass.
    """
    if photo.shape[:2] != (IMAGE_SIZE, IMAGE_SIZE) or np.ptp(photo, axis=2).any():
        return None
    grey = photo[..., 0]
    for digit in (grey, invert(grey)):
        if digit[0].any() or digit[-1].any() or digit[:, 0].any() or digit[:, -1].any():
            continue
        left, top, width, height = cv2.boundingRect(digit)
        x, y = centre_of_mass(digit) if digit.any() else (0.0, 0.0)
        fits = abs(max(width, height) - MNIST_BOX) <= 1 and max(abs(x - MNIST_CENTRE), abs(y - MNIST_CENTRE)) < 1
        if fits and digit.max() > 200:
            box = (left / IMAGE_SIZE, top / IMAGE_SIZE, (left + width) / IMAGE_SIZE, (top + height) / IMAGE_SIZE)
            return Prepared(image=digit, box=box, as_it_came=True)
    return None


def find_digit(photo: np.ndarray) -> Place:
    """Find the digit of a photo, uint8 (H, W, 3), in a reduced copy; NoDigitFound if there is none."""
    longer = max(photo.shape[:2])
    cut_out = longer <= TINY
    size = min(max(longer, SMALLEST_OVERVIEW), OVERVIEW_SIZE)
    view = resize_to(photo, size) if size != longer else photo
    colours, noise = ink_colours(view, cut_out)
    ink = np.sqrt(cv2.transform(colours * colours, np.full((1, 3), 1 / 3, dtype=np.float32)))
    faintest = MIN_CONTRAST if cut_out else max(MIN_CONTRAST, MIN_CONTRAST_TO_NOISE * noise)
    found = _main_component(ink, faintest, touching=0.3 if cut_out else 0.1)
    if found is None:
        raise NoDigitFound(
            "the picture shows nothing that differs from its background",
            "one digit, darker or lighter than its paper",
            "write with more contrast, or take the photo closer and in better light",
            reason="blank",
        )
    mask, (x, y, width, height) = found
    inside = np.s_[y : y + height, x : x + width]
    _require_one_digit(ink, inside, mask, noise)
    strong = mask & (ink[inside] >= percentile(ink[inside][mask], 50))
    mean = np.array(cv2.mean(colours[inside], strong.astype(np.uint8))[:3], np.float32)
    h, w = ink.shape
    return Place(
        box=(x / w, y / h, (x + width) / w, (y + height) / h),
        ink_direction=mean / max(float(np.linalg.norm(mean)), 1e-6),
        stroke_width=stroke_width(mask) / max(width, height),
    )


def _require_one_digit(ink: np.ndarray, inside: tuple[slice, slice], mask: np.ndarray, noise: float) -> None:
    """Refuse noise, texture, nets and pages of text.

    `ink` is float32 (H, W), `inside` the box of the chosen digit, and `mask`, bool of the size of that box, the digit.
    """
    ink_of_digit = ink[inside][mask]
    level = percentile(ink_of_digit, 90)
    if level < MIN_LEVEL_TO_NOISE * noise:
        raise NoDigitFound(
            "nothing in the picture stands out from its noise",
            "one digit, clearly darker or lighter than its paper",
            "take the photo closer, in better light",
            reason="noise",
        )
    inky = ink > 0.4 * level  # the mask may follow fainter ink, ragged by noise
    contours, _ = cv2.findContours((mask & inky[inside]).astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    if len(contours) > MAX_CONTOURS or _has_rivals(inky, ink, RIVAL_MASS * float(ink_of_digit.sum())):
        raise NoDigitFound(
            "the picture shows texture, a net or many things, none of which stands out as a digit",
            "one digit on paper",
            "take the photo closer, so that one digit fills much of it",
            reason="clutter",
        )


def _has_rivals(inky: np.ndarray, ink: np.ndarray, mass: float) -> bool:
    """Whether more than MAX_RIVALS components of `inky`, bool (H, W), have more ink, float32 (H, W), than `mass`."""
    count, labels = cv2.connectedComponents(inky.astype(np.uint8), connectivity=8)
    return count > MAX_RIVALS and int((weigh_components(labels, ink, count) > mass).sum()) > MAX_RIVALS


def _main_component(
    ink: np.ndarray, lowest: float, touching: float
) -> tuple[np.ndarray, tuple[int, int, int, int]] | None:
    """The connected ink of float32 (H, W) that is most likely the digit, at any threshold from `lowest` up.

    Returns a mask, bool (h, w), and where it lies: left, top, w, h; None if nothing stands out. A component scores by
    its ink, but less the farther it is from the middle of the frame, and only by the fraction `touching` of it if it
    touches the frame's edge.
    """
    best, best_score = None, 0.0
    threshold, left, top, inked = lowest, 0, 0, ink
    while (area := cv2.countNonZero(above := (inked > threshold).astype(np.uint8))) > SPECKS * ink.size:
        # What is above a threshold lies inside the box of what is above a lower one.
        x, y, width, height = cv2.boundingRect(above)
        left, top, inside = left + x, top + y, np.s_[y : y + height, x : x + width]
        inked, above = inked[inside], above[inside]
        total = cv2.mean(inked, above)[0] * area
        if total <= GAIN * best_score:
            break  # no part of what is left can be that much heavier than the best one
        count, labels = cv2.connectedComponents(above, connectivity=8)
        mass = weigh_components(labels, inked, count) if count > 2 else np.array([0, total])
        for i in np.argsort(-mass)[:MAX_CANDIDATES]:
            if mass[i] <= GAIN * best_score:
                break
            component = (labels == i).astype(np.uint8)
            x, y, width, height = cv2.boundingRect(component)
            component, box = component[y : y + height, x : x + width], (left + x, top + y, width, height)
            score = mass[i] * _plausibility(component, box, ink.shape) * (touching if _touches(box, ink.shape) else 1)
            if score > GAIN * best_score:
                best, best_score = (component > 0, box), score
        threshold *= 2
    return best


def _plausibility(component: np.ndarray, box: tuple[int, int, int, int], frame: tuple[int, int]) -> float:
    """Fraction of its ink by which a component scores, uint8 (h, w) in a box of a frame (H, W): 1 in the middle."""
    moments = cv2.moments(component, binaryImage=True)
    x, y = moments["m10"] / moments["m00"] + box[0], moments["m01"] / moments["m00"] + box[1]
    return 1 - 0.6 * math.hypot(x - frame[1] / 2, y - frame[0] / 2) / max(frame)


def _touches(box: tuple[int, int, int, int], frame: tuple[int, int]) -> bool:
    """Whether a box touches the edge of its frame (H, W)."""
    x, y, width, height = box
    return x <= 1 or y <= 1 or x + width >= frame[1] - 1 or y + height >= frame[0] - 1


def close_up(photo: np.ndarray, place: Place) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """Crop the photo to the digit and some paper around it, and separate the ink: float32 (h, w) in 0..1, and the
    digit's box in it."""
    H, W = photo.shape[:2]
    left, top, right, bottom = np.array(place.box) * (W, H, W, H)
    size = max(right - left, bottom - top)
    margin = MARGIN * size
    x0, y0 = max(0, int(left - margin)), max(0, int(top - margin))
    x1, y1 = min(W, int(np.ceil(right + margin))), min(H, int(np.ceil(bottom + margin)))
    crop = photo[y0:y1, x0:x1]
    scale = CLOSE_UP_SIZE / size
    view = resize_to(crop, max(8, round(max(crop.shape[:2]) * scale)))
    ink = ink_strength(view, place.ink_direction, place.stroke_width * CLOSE_UP_SIZE)
    h, w = ink.shape
    s = np.array([w / crop.shape[1], h / crop.shape[0]])
    box = (
        int((left - x0) * s[0]),
        int((top - y0) * s[1]),
        int(np.ceil((right - x0) * s[0])),
        int(np.ceil((bottom - y0) * s[1])),
    )
    inside = ink[box[1] : box[3], box[0] : box[2]]
    level = percentile(inside[::2, ::2], 98)
    if level < MIN_CONTRAST:
        raise NoDigitFound("the picture is blank", "a digit on paper", "take the photo again", reason="blank")
    return np.clip(ink / level, 0, 1), box
