"""From ink to what the network sees: the second half of the way from a photo to 28x28.

Selects the strokes that belong to the digit, brings them to MNIST's stroke width, and places them as in MNIST: in a
20x20 box, proportions kept, centred by mass.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from digits.config import IMAGE_SIZE, MNIST_BOX, MNIST_CENTRE
from digits.preprocessing.ink import percentile

THINNEST_STROKE = 2.6
"""Strokes thinner than this are widened to it, in pixels of the 20x20 box; MNIST's median is 2.5."""
THICKEST_STROKE = 4.2
"""Strokes thicker than this are thinned to it; 96 % of MNIST's digits have thinner ones."""
SUPERSAMPLING = 6
"""A digit is drawn this many times larger and averaged down, as MNIST was from 128x128 originals."""
FAINTEST, FULL = 0.25, 0.6
"""Fractions of the digit's own level: ink up to the first counts as paper, ink from the second on as solid."""
MAX_GAP = 0.3
"""Widest gap between a digit and a piece that belongs to it, as a fraction of the digit's longer side."""
MAX_GAP_OF_EQUALS = 0.12
"""The same for a piece that stands beside the digit and is about as tall: it is more likely a neighbour."""
MIN_PIECE = 0.03
"""Smallest piece of a digit, as a fraction of the digit's area; smaller ones are specks."""
MIN_PIECE_LEVEL = 0.6
"""Faintest piece of a digit, as a fraction of the digit's ink level; fainter are show-through, ruling, fingers."""
MAX_PIECES = 12


def centre_of_mass(ink: np.ndarray) -> tuple[float, float]:
    """x and y of the centre of mass, in pixel indices, of ink (H, W) that is not all zero."""
    moments = cv2.moments(ink)
    return moments["m10"] / moments["m00"], moments["m01"] / moments["m00"]


def weigh_components(labels: np.ndarray, ink: np.ndarray, count: int) -> np.ndarray:
    """Total ink of each of `count` components, float64 (count,).

    `labels` int32 (h, w) numbers the components, 0 is paper; `ink` is float32 (h, w).
    """
    inked = np.flatnonzero(labels.astype(bool))
    return np.bincount(labels.ravel()[inked], weights=ink.ravel()[inked], minlength=count)


def stroke_width(mask: np.ndarray) -> float:
    """Width of the strokes of a mask, bool (h, w), in pixels: twice the distance from their middle to their edge."""
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT)
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, 3)
    return 2 * percentile(distance[padded > 0], 90)


def select_strokes(ink: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    """Keep the digit's strokes and make them solid: float32 (h, w) in 0..1, cropped to the digit.

    `ink` is float32 (h, w), 1 at the digit's own level; `box` (left, top, right, bottom) is where the digit was found.
    """
    left, top, right, bottom = box
    levels = (ink * 255).astype(np.uint8)
    otsu, _ = cv2.threshold(levels[top:bottom, left:right], 0, 255, cv2.THRESH_OTSU)
    threshold = float(np.clip(0.85 * otsu / 255, FAINTEST, 0.5))
    count, labels = cv2.connectedComponents((ink > threshold).astype(np.uint8), connectivity=8)
    masses = weigh_components(labels[top:bottom, left:right], ink[top:bottom, left:right], count)
    strokes = join_pieces(ink, labels, int(np.argmax(masses))) if count > 2 else labels.astype(np.uint8)
    x, y, width, height = cv2.boundingRect(strokes)
    inside = np.s_[y : y + height, x : x + width]
    solid = np.clip((ink[inside] - FAINTEST) / (FULL - FAINTEST), 0, 1)
    return solid * cv2.dilate(strokes[inside], np.ones((3, 3), np.uint8))


def join_pieces(ink: np.ndarray, labels: np.ndarray, main: int) -> np.ndarray:
    """Mask, uint8 (h, w), of the main component and of the pieces that a pen left beside it.

    `ink` is float32 (h, w), `labels` int32 (h, w) as of cv2.connectedComponents.
    """
    mask = (labels == main).astype(np.uint8)
    faintest = MIN_PIECE_LEVEL * cv2.mean(ink, mask)[0]
    pieces = [piece for piece in _pieces_in(labels, main) if ink[piece.window][piece.mask].mean() >= faintest]
    joined = True
    while joined and pieces:
        joined = False
        left, _, w_digit, h_digit = cv2.boundingRect(mask)
        distance = cv2.distanceTransform(1 - mask, cv2.DIST_L2, 3)
        for piece in pieces:
            if piece.area < MIN_PIECE * cv2.countNonZero(mask):
                continue
            x, _, w, h = piece.box
            gap = distance[piece.window][piece.mask].min() / max(w_digit, h_digit, w, h)
            beside = x >= left + 0.8 * w_digit or x + w <= left + 0.2 * w_digit
            equals = beside and h > 0.6 * h_digit
            if gap <= (MAX_GAP_OF_EQUALS if equals else MAX_GAP):
                mask[piece.window] |= piece.mask
                pieces.remove(piece)
                joined = True
                break
    return mask


@dataclass(frozen=True, eq=False)
class _Piece:
    """Connected ink beside the main component."""

    area: int
    box: tuple[int, int, int, int]
    """Left, top, width, height."""
    window: tuple[slice, slice]
    """The box, to index (h, w) with."""
    mask: np.ndarray
    """bool, of the size of the box."""


def _pieces_in(labels: np.ndarray, main: int) -> Iterator[_Piece]:
    """Components of int32 (h, w) that may have broken off `main`, largest first: no specks, none cut by the frame."""
    height, width = labels.shape
    areas = np.bincount(labels.ravel())
    smallest = MIN_PIECE * areas[main]
    areas[[0, main]] = 0
    for i in np.argsort(-areas)[:MAX_PIECES]:
        if areas[i] < smallest:
            return
        mask = labels == i
        x, y, w, h = cv2.boundingRect(mask.astype(np.uint8))
        if x > 1 and y > 1 and x + w < width - 1 and y + h < height - 1:
            window = np.s_[y : y + h, x : x + w]
            yield _Piece(int(areas[i]), (x, y, w, h), window, mask[window])


def normalise_stroke_width(strokes: np.ndarray) -> np.ndarray:
    """Bring strokes, float32 (h, w) in 0..1, to a width found in MNIST; the array grows or shrinks with them."""
    longer = max(strokes.shape)
    width = stroke_width(strokes > 0.5)
    scale = longer / MNIST_BOX
    # Widening makes the digit longer too, so less than the whole difference is needed.
    if width < THINNEST_STROKE * scale:
        radius = (THINNEST_STROKE * scale - width) / 2 / (1 - THINNEST_STROKE / MNIST_BOX)
        radius = int(radius + 0.5)
        if radius > 0:
            padded = cv2.copyMakeBorder(strokes, radius, radius, radius, radius, cv2.BORDER_CONSTANT)
            return cv2.dilate(padded, _disc(radius))
    if width > THICKEST_STROKE * scale:
        radius = int((width - THICKEST_STROKE * scale) / 2 + 0.5)
        thinner = cv2.erode(strokes, _disc(radius), borderType=cv2.BORDER_CONSTANT, borderValue=0)
        x, y, w, h = cv2.boundingRect((thinner > 0.5).astype(np.uint8))
        if w > 0:
            return thinner[y : y + h, x : x + w]
    return strokes


def _disc(radius: int) -> np.ndarray:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))


def draw_as_mnist(strokes: np.ndarray) -> np.ndarray:
    """Place strokes, float32 (h, w) in 0..1, in MNIST's frame: uint8 (28, 28)."""
    strokes = normalise_stroke_width(strokes)
    scale = MNIST_BOX * SUPERSAMPLING / max(strokes.shape)
    size = (max(1, round(strokes.shape[1] * scale)), max(1, round(strokes.shape[0] * scale)))
    digit = cv2.resize(strokes, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    large = np.zeros((IMAGE_SIZE * SUPERSAMPLING,) * 2, dtype=np.float32)
    middle = (MNIST_CENTRE + 0.5) * SUPERSAMPLING - 0.5
    x, y = centre_of_mass(digit)
    left = int(np.clip(round(middle - x), 0, large.shape[1] - digit.shape[1]))
    top = int(np.clip(round(middle - y), 0, large.shape[0] - digit.shape[0]))
    large[top : top + digit.shape[0], left : left + digit.shape[1]] = digit
    small = cv2.resize(large, (IMAGE_SIZE, IMAGE_SIZE), interpolation=cv2.INTER_AREA)
    return np.round(small * 255).astype(np.uint8)
