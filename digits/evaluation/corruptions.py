"""The fifteen families of MNIST-C, to measure with; training never sees them.

Mu and Gilmer, "MNIST-C: A Robustness Benchmark for Computer Vision" (2019): names, parameters of the
five severities and the severity of the released data set are theirs, the code is this project's.
"""

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from digits.config import IMAGE_SIZE
from digits.errors import require

Level = TypeVar("Level")

MIDDLE = (IMAGE_SIZE - 1) / 2
FOG_MAP_SIZE = 256
"""Side of the fog maps, in pixels: a power of two."""
LINE_REACH = 2.3
"""Vertical distance, in pixels, at which the logarithmic fall-off of a drawn line ends."""


def corrupt(images: np.ndarray, family: str, rng: np.random.Generator | int, severity: int | None = None) -> np.ndarray:
    """uint8 (N, 28, 28), light ink on black -> the same shape, each image corrupted independently.

    `family` is a key of FAMILIES; `severity` counts from 1, None takes that of the released data set.
    ConfigurationError if the family or its severity does not exist.
    """
    require(
        family in FAMILIES,
        f"the corruption family {family!r}",
        f"one of {', '.join(FAMILIES)}",
        "use a name of MNIST-C",
    )
    arguments = {} if severity is None else {"severity": severity}
    return FAMILIES[family](images, np.random.default_rng(rng), **arguments)


def shot_noise(images: np.ndarray, rng: np.random.Generator, severity: int = 5) -> np.ndarray:
    """Photon noise: the brightness of each pixel is a count of a few photons."""
    photons = _level((60, 25, 12, 5, 3), severity)
    return _to_bytes(rng.poisson(_to_unit(images) * photons) / photons)


def impulse_noise(images: np.ndarray, rng: np.random.Generator, severity: int = 4) -> np.ndarray:
    """Salt and pepper: a fraction of the pixels turns black or white, half each."""
    amount = _level((0.03, 0.06, 0.09, 0.17, 0.27), severity)
    draw = rng.random(images.shape, dtype=np.float32)
    return np.where(draw < amount / 2, 0, np.where(draw < amount, 255, images)).astype(np.uint8)


def glass_blur(images: np.ndarray, rng: np.random.Generator, severity: int = 1) -> np.ndarray:
    """Frosted glass: pixels swap places with neighbours between two blurs."""
    sigma, reach, rounds = _level(((0.7, 1, 2), (0.9, 2, 1), (1.0, 2, 3), (1.1, 3, 2), (1.5, 4, 2)), severity)
    pixels = _blur(_to_unit(images), sigma)
    every = np.arange(len(images))
    # Swaps follow one another, from the last row to the first; all images of the batch are swapped side by side.
    for _ in range(rounds):
        for row in range(IMAGE_SIZE - reach, reach, -1):
            for column in range(IMAGE_SIZE - reach, reach, -1):
                chosen = every[rng.random(len(images)) < 0.5]
                rows, columns = np.array([[row], [column]]) + rng.integers(-reach, reach, (2, len(chosen)))
                here = pixels[chosen, row, column]
                pixels[chosen, row, column] = pixels[chosen, rows, columns]
                pixels[chosen, rows, columns] = here
    return _to_bytes(_blur(pixels, sigma))


def motion_blur(images: np.ndarray, rng: np.random.Generator, severity: int = 1) -> np.ndarray:
    """A camera that moves: half a Gaussian along a direction within 45 degrees of the horizontal."""
    radius, sigma = _level(((10, 3), (15, 5), (15, 8), (15, 12), (20, 15)), severity)
    length = 2 * radius + 1
    weights = np.exp(-(np.arange(length) ** 2) / (2 * sigma**2))
    weights /= weights.sum()
    angles = np.radians(rng.uniform(-45, 45, len(images)))
    every = np.arange(len(images))[:, None, None]
    blurred = np.zeros(images.shape, np.float32)
    for step, weight in enumerate(weights):
        # Whole pixels, the border repeated outwards, as in the program that made the data set.
        rows = np.ceil(step * np.sin(angles) - 0.5).astype(int)[:, None] + np.arange(IMAGE_SIZE)
        columns = np.ceil(step * np.cos(angles) - 0.5).astype(int)[:, None] + np.arange(IMAGE_SIZE)
        rows, columns = np.clip(rows, 0, IMAGE_SIZE - 1), np.clip(columns, 0, IMAGE_SIZE - 1)
        blurred += np.float32(weight) * images[every, rows[:, :, None], columns[:, None, :]]
    return _to_bytes(blurred / 255)


def shear(images: np.ndarray, rng: np.random.Generator, severity: int = 2) -> np.ndarray:
    """Slant to the left or the right."""
    angles = _level((0.2, 0.4, 0.6, 0.8, 1.0), severity) * _signs(rng, len(images))
    return _warp(images, [((1, -math.sin(angle)), (0, math.cos(angle))) for angle in angles])


def scale(images: np.ndarray, rng: np.random.Generator, severity: int = 3) -> np.ndarray:
    """A smaller digit, shrunk towards the centre."""
    factor = _level((0.9, 0.8, 0.7, 0.6, 0.5), severity)
    return _warp(images, [((1 / factor, 0), (0, 1 / factor))] * len(images))


def rotate(images: np.ndarray, rng: np.random.Generator, severity: int = 2) -> np.ndarray:
    """A turn to the left or the right around the centre."""
    angles = _level((0.2, 0.4, 0.6, 0.8, 1.0), severity) * _signs(rng, len(images))
    return _warp(
        images, [((math.cos(angle), -math.sin(angle)), (math.sin(angle), math.cos(angle))) for angle in angles]
    )


def brightness(images: np.ndarray, rng: np.random.Generator, severity: int = 5) -> np.ndarray:
    """Everything brighter by the same amount."""
    return _to_bytes(_to_unit(images) + _level((0.1, 0.2, 0.3, 0.4, 0.5), severity))


def translate(images: np.ndarray, rng: np.random.Generator, severity: int = 3) -> np.ndarray:
    """A diagonal shift by whole pixels; what leaves the frame is lost."""
    distance = _level((1, 2, 3, 4, 5), severity)
    padded = np.pad(images, ((0, 0), (distance, distance), (distance, distance)))
    starts = np.where(rng.random((2, len(images))) < 0.5, 0, 2 * distance)[:, :, None] + np.arange(IMAGE_SIZE)
    return padded[np.arange(len(images))[:, None, None], starts[0][:, :, None], starts[1][:, None, :]]


def stripe(images: np.ndarray, rng: np.random.Generator, severity: int = 1) -> np.ndarray:
    """The left and the right quarter inverted: a dark stripe between two light ones."""
    quarter = _level((IMAGE_SIZE // 4,), severity)
    striped = images.copy()
    striped[:, :, :quarter] = 255 - striped[:, :, :quarter]
    striped[:, :, -quarter:] = 255 - striped[:, :, -quarter:]
    return striped


def fog(images: np.ndarray, rng: np.random.Generator, severity: int = 5) -> np.ndarray:
    """A cloud of light (a diamond-square fractal) that leaves the ink little contrast."""
    thickness, decay = _level(((1.5, 2.0), (2.0, 2.0), (2.5, 1.7), (2.5, 1.5), (3.0, 1.4)), severity)
    clouds = _clouds(len(images), decay, rng)
    unit = _to_unit(images)
    brightest = unit.max(axis=(1, 2), keepdims=True)
    return _to_bytes((unit + thickness * clouds) * brightest / (brightest + thickness))


def spatter(images: np.ndarray, rng: np.random.Generator, severity: int = 4) -> np.ndarray:
    """Drops of mud: grey blots that cover the ink."""
    mean, deviation, drop_sigma, threshold, edge_sigma = _level(
        (
            (0.65, 0.3, 4.0, 0.69, 0.6),
            (0.65, 0.3, 3.0, 0.68, 0.6),
            (0.65, 0.3, 2.0, 0.68, 0.5),
            (0.65, 0.3, 1.0, 0.65, 1.5),
            (0.67, 0.4, 1.0, 0.65, 1.5),
        ),
        severity,
    )
    liquid = _blur(rng.normal(mean, deviation, images.shape).astype(np.float32), drop_sigma)
    cover = _blur((liquid > threshold).astype(np.float32), edge_sigma)
    cover[cover < 0.8] = 0
    return _to_bytes(_to_unit(images) * (1 - cover) + cover * 63 / 255)


def dotted_line(images: np.ndarray, rng: np.random.Generator, severity: int = 1) -> np.ndarray:
    """A dotted line from the left edge to the right one: two columns off, two on."""
    dot = _level((2,), severity)
    ends = rng.integers(0, IMAGE_SIZE - 1, (2, len(images)))
    lines = np.stack([_line(0, start, IMAGE_SIZE - 1, end) for start, end in ends.T]) if len(images) else images
    on = np.arange(IMAGE_SIZE) // dot % 2 == 1
    return _to_bytes(_to_unit(images) + lines * on)


def zigzag(images: np.ndarray, rng: np.random.Generator, severity: int = 1) -> np.ndarray:
    """A zigzag line across the digit, nearly horizontal."""
    width = _level((2.0,), severity)
    starts, slopes = rng.integers(0, IMAGE_SIZE - 1, len(images)), rng.integers(-5, 5, len(images))
    lines = [_zigzag_line(int(start), int(slope), width) for start, slope in zip(starts, slopes, strict=True)]
    return _to_bytes(_to_unit(images) + (np.stack(lines) if lines else images))


def canny_edges(images: np.ndarray, rng: np.random.Generator, severity: int = 1) -> np.ndarray:
    """Only the edges of the ink (Canny, 1986), white on black."""
    sigma, low, high = _level(((1.0, 0.1, 0.2),), severity)
    # OpenCV takes whole-number gradients: 1,000 steps for each grey level between black and white.
    smooth = _blur(_to_unit(images), sigma) * 1000
    edges = np.empty_like(images)
    for index, image in enumerate(smooth):
        across, down = (cv2.Sobel(image, cv2.CV_32F, *axis).round().astype(np.int16) for axis in ((1, 0), (0, 1)))
        edges[index] = cv2.Canny(across, down, low * 1000, high * 1000, L2gradient=True)
    return edges


FAMILIES: dict[str, Callable[..., np.ndarray]] = {
    function.__name__: function
    for function in (
        shot_noise,
        impulse_noise,
        glass_blur,
        motion_blur,
        shear,
        scale,
        rotate,
        brightness,
        translate,
        stripe,
        fog,
        spatter,
        dotted_line,
        zigzag,
        canny_edges,
    )
}
"""The families in the paper's order: function(images uint8 (N, 28, 28), rng, severity) -> the same shape."""


def _level(levels: Sequence[Level], severity: int) -> Level:
    require(
        1 <= severity <= len(levels),
        f"severity = {severity}",
        f"a severity from 1 to {len(levels)} for this corruption",
        "leave it out for the severity of the released data set",
    )
    return levels[severity - 1]


def _to_unit(images: np.ndarray) -> np.ndarray:
    """uint8 -> float32 in 0..1, same shape."""
    return images.astype(np.float32) / 255


def _to_bytes(values: np.ndarray) -> np.ndarray:
    """float in 0..1, clipped -> uint8, same shape."""
    return np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)


def _signs(rng: np.random.Generator, count: int) -> np.ndarray:
    return rng.choice((-1.0, 1.0), count)


@functools.cache
def _blur_matrix(sigma: float) -> np.ndarray:
    """float32 (28, 28) whose product with a column blurs it: a Gaussian to 4 sigma, borders repeated."""
    reach = int(4 * sigma + 0.5)
    offsets = np.arange(-reach, reach + 1)
    kernel = np.exp(-(offsets**2) / (2 * sigma**2))
    matrix = np.zeros((IMAGE_SIZE, IMAGE_SIZE))
    for row in range(IMAGE_SIZE):
        np.add.at(matrix[row], np.clip(row + offsets, 0, IMAGE_SIZE - 1), kernel / kernel.sum())
    return matrix.astype(np.float32)


def _blur(values: np.ndarray, sigma: float) -> np.ndarray:
    """float32 (N, 28, 28), each image under a Gaussian blur."""
    matrix = _blur_matrix(sigma)
    return matrix @ values @ matrix.T


def _warp(images: np.ndarray, matrices: Sequence[npt.ArrayLike]) -> np.ndarray:
    """Each image around its centre; a (2, 2) matrix says where an output point (x, y) comes from."""
    warped = np.empty_like(images)
    for index, matrix in enumerate(matrices):
        linear = np.asarray(matrix, np.float64)
        shift = MIDDLE - linear @ (MIDDLE, MIDDLE)
        affine = np.column_stack([linear, shift])
        size = (IMAGE_SIZE, IMAGE_SIZE)
        warped[index] = cv2.warpAffine(images[index], affine, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return warped


def _line(column_0: float, row_0: float, column_1: float, row_1: float) -> np.ndarray:
    """float32 (28, 28): a line that fades with the vertical distance to it, between two columns."""
    slope = (row_1 - row_0) / (column_1 - column_0)
    columns, rows = np.arange(IMAGE_SIZE), np.arange(IMAGE_SIZE)[:, None]
    distance = np.minimum(np.abs(rows - (row_0 + slope * (columns - column_0))), LINE_REACH - 1e-6)
    line = np.clip(np.log(1 - distance / LINE_REACH) + 1, 0, 1)
    inside = (columns >= math.floor(column_0)) & (columns < math.ceil(column_1))
    return (line * inside).astype(np.float32)


@functools.cache
def _zigzag_line(start: int, slope: int, width: float) -> np.ndarray:
    """float32 (28, 28): the sum of the strokes of one zigzag from row `start` to row `start + slope`."""
    first, last = 2, IMAGE_SIZE - 3
    angle = math.atan(slope / (last - first))
    length = (last - first) / math.cos(angle)
    turns = int((length - width) // (2 * width)) + 1
    along = [0.0, *((2 * turn + 1) * width for turn in range(turns)), length]
    across = [0.0, *((-1) ** turn * width for turn in range(turns))]
    across.append(across[-1] / (2 * (length - 2 * width * (length // (2 * width)))))
    points = [
        (first + math.cos(angle) * x - math.sin(angle) * y, start + math.sin(angle) * x + math.cos(angle) * y)
        for x, y in zip(along, across, strict=True)
    ]
    return np.sum([_line(*begin, *end) for begin, end in itertools.pairwise(points)], axis=0)


def _clouds(count: int, decay: float, rng: np.random.Generator) -> np.ndarray:
    """float32 (count, 28, 28) in 0..1: one corner each of a 256x256 height map by the diamond-square algorithm.

    The two finest levels, 2 % of the height, are computed around the corner only, which is 16 times faster.
    """
    maps, wobble = np.zeros((count, 1, 1), np.float32), 100.0
    while maps.shape[1] < FOG_MAP_SIZE // 4:
        maps, wobble = _refine(maps, wobble, rng), wobble / decay
    lowest, highest = maps.min(axis=(1, 2), keepdims=True), maps.max(axis=(1, 2), keepdims=True)
    # One more cell on each side, cut away again: refining joins opposite edges.
    maps = np.roll(maps, 1, axis=(1, 2))[:, : IMAGE_SIZE // 4 + 2, : IMAGE_SIZE // 4 + 2]
    for _ in range(2):
        maps, wobble = _refine(maps, wobble, rng), wobble / decay
    corner = slice(4, 4 + IMAGE_SIZE)
    return np.clip((maps[:, corner, corner] - lowest) / (highest - lowest), 0, 1)


def _refine(maps: np.ndarray, wobble: float, rng: np.random.Generator) -> np.ndarray:
    """float32 (N, size, size) -> (N, 2 size, 2 size): means of four neighbours, plus noise; edges are joined."""

    def noisy_mean(total: np.ndarray) -> np.ndarray:
        return total / 4 + np.float32(wobble**2) * (2 * rng.random(total.shape, dtype=np.float32) - 1)

    fine = np.empty((len(maps), 2 * maps.shape[1], 2 * maps.shape[2]), np.float32)
    rows, columns = maps + np.roll(maps, -1, axis=1), maps + np.roll(maps, -1, axis=2)
    middles = noisy_mean(rows + np.roll(rows, -1, axis=2))
    fine[:, ::2, ::2] = maps
    fine[:, 1::2, 1::2] = middles
    fine[:, ::2, 1::2] = noisy_mean(middles + np.roll(middles, 1, axis=1) + columns)
    fine[:, 1::2, ::2] = noisy_mean(middles + np.roll(middles, 1, axis=2) + rows)
    return fine
