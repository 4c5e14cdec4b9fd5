"""From any photo of one digit to what the network sees: light ink on black, drawn the way MNIST was made.

The first half of the way: find the digit in the photo and separate its ink from paper, light and ruling.
digits.strokes does the second half, from ink to 28x28.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from digits.config import IMAGE_SIZE
from digits.images import invert, to_rgb
from digits.strokes import center_of_mass, draw_as_mnist, select_strokes

OVERVIEW_SIZE = 320
"""Longer side of the reduced photo in which the digit is looked for, in pixels."""
SMALLEST_OVERVIEW = 160
"""Smaller pictures are enlarged to this first, so that strokes are a few pixels wide."""
TINY = 48
"""Longer side, in pixels, up to which a picture is taken to be cut out around its digit, on paper of one colour."""
CLOSE_UP_SIZE = 120
"""Longer side of the digit in the close-up from which its strokes are taken, in pixels."""
MARGIN = 0.45
"""Paper kept around the digit in the close-up, as a fraction of its longer side."""
MIN_CONTRAST = 6.0
"""Least difference between ink and paper, in grey levels of 255."""
MIN_CONTRAST_TO_NOISE = 4.0
"""Least ratio of that difference to the noise of the paper."""


class NoDigitFound(ValueError):
    """A photo in which nothing looks like one handwritten digit; the message says why and what to do.

    `reason` is one word for counting: not_a_photo, too_small, blank or noise.
    """

    def __init__(self, reason: str, happened: str, expected: str, remedy: str) -> None:
        super().__init__(f"{happened}\n  expected: {expected}\n  what to do: {remedy}")
        self.reason = reason


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the digit is in a photo, and how its ink differs from the paper."""

    box: tuple[float, float, float, float]
    """Left, top, right, bottom, as fractions of the photo's width and height."""
    ink_direction: np.ndarray
    """float32 (3,): unit vector from the colour of the paper to the colour of the ink."""
    contrast: float
    """Length of that difference in grey levels."""


def prepare_photo(photo: np.ndarray) -> np.ndarray:
    """Draw the digit in a photo as MNIST would have: uint8 (H, W, 3) to uint8 (28, 28, 3), light ink on black.

    Raises NoDigitFound if the photo is blank, noise, or nothing like one digit.
    """
    _require_photo(photo)
    if (digit := _already_drawn_as_mnist(photo)) is not None:
        return to_rgb(digit)
    place = find_digit(photo)
    ink, mask = close_up(photo, place)
    return to_rgb(draw_as_mnist(select_strokes(ink, mask)))


def _require_photo(photo: np.ndarray) -> None:
    if not (isinstance(photo, np.ndarray) and photo.dtype == np.uint8 and photo.ndim == 3 and photo.shape[2] == 3):
        raise NoDigitFound(
            "not_a_photo",
            f"got {getattr(photo, 'dtype', type(photo).__name__)} {getattr(photo, 'shape', '')}",
            "a photo as uint8 (height, width, 3)",
            "decode the picture with digits.images.decode_image",
        )
    if min(photo.shape[:2]) < 6:
        raise NoDigitFound(
            "too_small",
            f"the picture is {photo.shape[1]} x {photo.shape[0]} pixels",
            "at least 6 x 6 pixels",
            "send a larger picture of the digit",
        )


def _already_drawn_as_mnist(photo: np.ndarray) -> np.ndarray | None:
    """The picture itself, uint8 (28, 28), if it is a digit in MNIST's form, in either polarity.

    That is: grey, on paper that is exactly black (or white), 20 pixels long, centred by its centre of mass.
    """
    if photo.shape[:2] != (IMAGE_SIZE, IMAGE_SIZE) or np.ptp(photo, axis=2).any():
        return None
    gray = photo[..., 0]
    for digit in (gray, invert(gray)):
        if digit[:3].any() or digit[-3:].any() or digit[:, :3].any() or digit[:, -3:].any():
            continue
        _, _, width, height = cv2.boundingRect(digit)
        x, y = center_of_mass(digit) if digit.any() else (0.0, 0.0)
        if 19 <= max(width, height) <= 21 and max(abs(x - 14), abs(y - 14)) < 1 and digit.max() > 200:
            return digit
    return None


def resize_to(image: np.ndarray, longer_side: int) -> np.ndarray:
    """Scale (H, W, ...) so that its longer side has that many pixels: averages to shrink, cubic to enlarge."""
    height, width = image.shape[:2]
    scale = longer_side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)


def find_digit(photo: np.ndarray) -> Place:
    """Look for the digit in a reduced photo: uint8 (H, W, 3)."""
    longer = max(photo.shape[:2])
    size = min(max(longer, SMALLEST_OVERVIEW), OVERVIEW_SIZE)
    view = resize_to(photo, size) if size != longer else photo
    paper = border_paper(view) if longer <= TINY else neighbourhood_paper(view)
    difference = view.astype(np.float32) - paper
    difference = cv2.GaussianBlur(difference, (0, 0), size / 300)
    distance = np.sqrt((difference**2).sum(axis=2)) / np.sqrt(3)
    noise = float(np.median(distance)) if longer > TINY else 0.0
    threshold = max(MIN_CONTRAST, MIN_CONTRAST_TO_NOISE * noise, 0.25 * float(np.percentile(distance, 99.5)))
    mask = (distance > threshold).astype(np.uint8)
    label, count, labels, boxes = _main_component(mask, distance)
    if count == 0:
        raise NoDigitFound("blank", "the picture is blank", "a digit on paper", "take the photo again")
    chosen = labels == label
    weights = distance[chosen]
    strong = weights >= np.percentile(weights, 50)
    mean = difference[chosen][strong].mean(axis=0)
    contrast = float(np.linalg.norm(mean))
    direction = mean / max(contrast, 1e-6)
    x, y, width, height = boxes[label][:4]
    h, w = mask.shape
    return Place(box=(x / w, y / h, (x + width) / w, (y + height) / h), ink_direction=direction, contrast=contrast)


def border_paper(view: np.ndarray) -> np.ndarray:
    """The paper's colour from the border alone: uint8 (H, W, 3) to float32 (1, 1, 3)."""
    b = max(1, round(0.04 * min(view.shape[:2])))
    ring = np.concatenate([edge.reshape(-1, 3) for edge in (view[:b], view[-b:], view[:, :b], view[:, -b:])])
    return np.median(ring, axis=0).astype(np.float32)[None, None]


def neighbourhood_paper(view: np.ndarray) -> np.ndarray:
    """The paper's colour at every pixel, from the median of a wide neighbourhood: uint8 to float32 (H, W, 3)."""
    h, w = view.shape[:2]
    small = resize_to(view, 80)
    k = int(0.5 * min(small.shape[:2])) | 1
    small = cv2.copyMakeBorder(small, k, k, k, k, cv2.BORDER_REPLICATE)
    paper = cv2.medianBlur(small, k)[k:-k, k:-k]
    return cv2.resize(paper, (w, h), interpolation=cv2.INTER_LINEAR).astype(np.float32)


def _main_component(mask, distance):
    h, w = mask.shape
    count, labels, stats, centers = cv2.connectedComponentsWithStats(mask, connectivity=8)
    if count < 2:
        return 0, 0, labels, stats
    scores = np.zeros(count)
    mass = np.bincount(labels.ravel(), weights=distance.ravel(), minlength=count)
    for i in range(1, count):
        x, y, ww, hh, area = stats[i]
        touches = x <= 1 or y <= 1 or x + ww >= w - 1 or y + hh >= h - 1
        off = np.hypot(centers[i][0] - w / 2, centers[i][1] - h / 2) / max(h, w)
        scores[i] = mass[i] * (1 - 0.6 * off) * (0.2 if touches else 1)
    return int(np.argmax(scores)), count - 1, labels, stats


def close_up(photo, place):
    """Cut out the digit with some paper around it and separate its ink: float32 (h, w) in 0..1 and the box mask."""
    H, W = photo.shape[:2]
    left, top, right, bottom = np.array(place.box) * (W, H, W, H)
    size = max(right - left, bottom - top)
    margin = MARGIN * size
    x0, y0 = max(0, int(left - margin)), max(0, int(top - margin))
    x1, y1 = min(W, int(np.ceil(right + margin))), min(H, int(np.ceil(bottom + margin)))
    crop = photo[y0:y1, x0:x1]
    scale = CLOSE_UP_SIZE / size
    view = resize_to(crop, max(8, round(max(crop.shape[:2]) * scale)))
    signal = (view.astype(np.float32) @ place.ink_direction.astype(np.float32)) * (-1.0)  # high where paper
    h, w = signal.shape
    k = int(0.6 * CLOSE_UP_SIZE) // 4 | 1
    small = cv2.resize(signal, (max(1, w // 4), max(1, h // 4)), interpolation=cv2.INTER_AREA)
    small = cv2.copyMakeBorder(small, k, k, k, k, cv2.BORDER_REPLICATE)
    paper = cv2.morphologyEx(small, cv2.MORPH_CLOSE, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (k, k)))
    paper = cv2.GaussianBlur(paper, (0, 0), k / 4)[k:-k, k:-k]
    paper = cv2.resize(paper, (w, h), interpolation=cv2.INTER_LINEAR)
    ink = np.clip(paper - signal, 0, None)
    ink = cv2.GaussianBlur(ink, (0, 0), 1.0)
    s = np.array([w / crop.shape[1], h / crop.shape[0]])
    box = (
        int((left - x0) * s[0]),
        int((top - y0) * s[1]),
        int(np.ceil((right - x0) * s[0])),
        int(np.ceil((bottom - y0) * s[1])),
    )
    inside = ink[box[1] : box[3], box[0] : box[2]]
    level = np.percentile(inside, 98)
    if level < MIN_CONTRAST:
        raise NoDigitFound("blank", "the picture is blank", "a digit on paper", "take the photo again")
    return np.clip(ink / level, 0, 1), box
