"""What training varies: how hands, pens and surfaces differ from one digit to the next.

In the journey of an image this stands between the Parquet row and the network, in training only: the data pipeline
calls `distort` anew in every epoch, and makes inverted copies afterwards.
"""

import math

import cv2
import numpy as np

from digits.augmentation import letterforms
from digits.augmentation.hand import place
from digits.config import IMAGE_SIZE, MNIST_BOX, MNIST_CENTRE, NUM_CLASSES, OUTLIER
from digits.errors import require

CHUNK = 256
"""Images distorted together: enough to share the array work, small enough to stay in the cache."""
WARP_SIZE = 56
"""Side of the canvas that digits are warped on, in pixels: twice the image's, so that pens vary by half a pixel."""
FIELD = 1.15
"""Width of what the canvas shows of the original, in image widths: the margin is room for slant and rotation."""

RESTYLED = (0.15, 0.40, 0.20, 0.20, 0.30, 0.25, 0.20, 0.30, 0.20, 0.30)
"""Probability, by label, that a digit is replaced by a synthesised one in another style of writing."""
UNTOUCHED = 0.10
"""Probability that a digit's shape and pen stay as they were."""
UNFITTED = 0.25
"""Probability that a digit is placed freely in the frame rather than fitted as MNIST fits it."""


def _bumps(size: int, count: int) -> np.ndarray:
    """Smooth bumps on a count x count lattice over a square: float32 (count * count, size * size).

    Weighted by independent standard normal draws, their sum has a standard deviation of one.
    """
    at = np.linspace(-1, 1, size)[None, :]
    centres = np.linspace(-1, 1, count)[:, None]
    one_axis = np.exp(-0.5 * ((at - centres) * (count - 1) / 2 / 0.6) ** 2)
    bumps = np.einsum("iy,jx->ijyx", one_axis, one_axis).reshape(count * count, size * size)
    return (bumps / np.sqrt((bumps**2).sum(0).mean())).astype(np.float32)


def _terms(size: int) -> np.ndarray:
    """1, x, y, xy, x^2, y^2, y^3 over the square -1..1: float32 (7, size * size)."""
    y, x = np.meshgrid(np.linspace(-1, 1, size), np.linspace(-1, 1, size), indexing="ij")
    return np.stack([np.ones_like(x), x, y, x * y, x * x, y * y, y**3]).reshape(7, -1).astype(np.float32)


_COARSE, _FINE = _bumps(WARP_SIZE, 4), _bumps(WARP_SIZE, 7)
_WARP_BASIS = np.concatenate([_terms(WARP_SIZE), _COARSE, _FINE])
_SHADE_BASIS = np.concatenate([0.6 * _terms(IMAGE_SIZE)[1:3], _bumps(IMAGE_SIZE, 4)])
_NIBS = [
    cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3)),
    cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3)),
    np.ones((1, 3), np.uint8),
    np.ones((3, 1), np.uint8),
    np.ones((2, 2), np.uint8),
    np.eye(3, dtype=np.uint8),
    np.eye(3, dtype=np.uint8)[::-1].copy(),
]
"""Tips of pens, in canvas pixels: a round one, twice as likely, and broad ones held at several angles."""


def distort(images: np.ndarray, labels: np.ndarray, rng: np.random.Generator, strength: float = 1.0) -> np.ndarray:
    """Digits as other hands, pens and surfaces might have made them: uint8 (N, 28, 28), light ink on black.

    `images` uint8 (N, 28, 28), light ink on black; `labels` integers (N,), 0..9, or OUTLIER for what is none, which
    gets no other style; unchanged by the distortion.
    `strength` multiplies how far shapes are bent, and the probability of all that befalls only some digits.
    Equal generators give equal pixels. Raises ConfigurationError for other shapes, types or labels.
    """
    labels = np.asarray(labels)
    require(
        images.dtype == np.uint8 and images.ndim == 3 and images.shape[1:] == (IMAGE_SIZE, IMAGE_SIZE),
        f"images of type {images.dtype} and shape {images.shape}",
        f"uint8 (N, {IMAGE_SIZE}, {IMAGE_SIZE}), light ink on black",
        "pass grey digits",
    )
    require(
        labels.shape == (len(images),) and bool(np.all((labels >= OUTLIER) & (labels < NUM_CLASSES))),
        f"labels of shape {labels.shape} for {len(images)} images",
        f"one label of 0..{NUM_CLASSES - 1}, or {OUTLIER} for what is no digit, for each image",
        "pass the labels of these images",
    )
    distorted = np.empty_like(images)
    for start in range(0, len(images), CHUNK):
        rows = slice(start, start + CHUNK)
        written = _restyle(images[rows], labels[rows], rng, strength)
        written = _write(written, rng, strength)
        distorted[rows] = _expose(written, rng, strength)
    return distorted


def _restyle(images: np.ndarray, labels: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Some of the digits replaced by synthesised ones of the same label: uint8 (n, 28, 28)."""
    chosen = (rng.random(len(images)) < strength * np.take(RESTYLED, labels)) & (labels != OUTLIER)
    restyled = images.copy()
    restyled[chosen] = letterforms.synthesise(labels[chosen], rng)
    return restyled


def _warps(count: int, rng: np.random.Generator, strength: float) -> np.ndarray:
    """For each canvas pixel, where to read in the enlarged original: float32 (count, 2, WARP_SIZE, WARP_SIZE).

    Slant, rotation, proportions, bends and elastic wobble are one linear combination of smooth fields.
    """
    degree = strength * rng.uniform(0.2, 1.5, count)
    angle = degree * rng.normal(0, math.radians(9), count)
    slant = degree * _mostly(0.17, 0.35, count, rng)  # old and hasty hands lean far
    width = np.exp(degree * _mostly(0.13, 0.30, count, rng))  # a form's boxes squeeze or stretch
    height = np.exp(degree * rng.normal(0, 0.08, count))
    cos, sin = np.cos(angle), np.sin(angle)

    factors = np.zeros((count, 2, len(_WARP_BASIS)), np.float32)
    linear = np.array([[cos * width, cos * slant - sin * height], [sin * width, sin * slant + cos * height]])
    factors[:, :, 1:3] = linear.transpose(2, 0, 1) * FIELD
    factors[:, :, 3:7] = rng.normal(0, [0.06, 0.05, 0.05, 0.03], (count, 2, 4)) * degree[:, None, None]
    elastic = factors[:, :, 7:]
    elastic[:] = rng.standard_normal(elastic.shape, np.float32) * degree[:, None, None]
    elastic[:, :, : len(_COARSE)] *= 0.06
    elastic[:, :, len(_COARSE) :] *= 0.022
    factors *= WARP_SIZE / 2
    factors[:, :, 0] += (WARP_SIZE - 1) / 2
    return (factors.reshape(-1, len(_WARP_BASIS)) @ _WARP_BASIS).reshape(count, 2, WARP_SIZE, WARP_SIZE)


def _mostly(usual: float, rare: float, count: int, rng: np.random.Generator) -> np.ndarray:
    """Normal draws around zero, four in five with the spread `usual`, the others with `rare`: float (count,)."""
    return rng.standard_normal(count) * np.where(rng.random(count) < 0.2, rare, usual)


def _write(images: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """The digits in another hand, with another pen, placed in the frame again: uint8 (n, 28, 28)."""
    count = len(images)
    untouched = rng.random(count) < UNTOUCHED
    warps = _warps(count, rng, strength)
    pen = rng.choice([-2, -1, 0, 1, 2, 3], count, p=[0.05, 0.20, 0.34, 0.27, 0.11, 0.03])
    nib = rng.integers(0, len(_NIBS), count)
    hollow = np.where(rng.random(count) < strength * 0.04, rng.uniform(0.4, 1.0, count), 0.0)
    soft = rng.random(count) < strength * 0.4
    softness = rng.integers(1, 7, (count, 2)).tolist()
    gaps = np.where(rng.random(count) < strength * 0.15, rng.integers(1, 4, count), 0)
    fits = _fits(count, rng, strength)
    written = np.empty_like(images)
    for index in range(count):
        if untouched[index]:
            written[index] = images[index]
            continue
        canvas = cv2.resize(images[index], (WARP_SIZE, WARP_SIZE), interpolation=cv2.INTER_CUBIC)
        canvas = cv2.remap(canvas, warps[index, 0], warps[index, 1], cv2.INTER_LINEAR)
        canvas = _press(canvas, int(pen[index]), _NIBS[nib[index]])
        if hollow[index]:  # a split nib, or a threshold too local for a broad stroke, leaves the edges only
            inside = cv2.erode(canvas, _NIBS[0])
            canvas = cv2.addWeighted(canvas, 1.0, inside, -hollow[index], 0)
        for _ in range(gaps[index]):
            _break(canvas, rng)
        canvas = cv2.GaussianBlur(canvas, (3, 3), 0)
        if soft[index]:  # two box filters make nearly a Gaussian, several times faster
            canvas = cv2.blur(cv2.blur(canvas, softness[index]), softness[index])
        written[index] = place(canvas, *fits[index])
    return written


def _press(canvas: np.ndarray, pressure: int, nib: np.ndarray) -> np.ndarray:
    """The strokes wider by `pressure` passes of the nib, or thinner if it is negative; never thinned away."""
    if pressure > 0:
        return cv2.dilate(canvas, nib, iterations=pressure)
    if pressure < 0:
        thinner = cv2.erode(canvas, nib, iterations=-pressure)
        if cv2.countNonZero(cv2.inRange(thinner, 128, 255)) > 0.5 * cv2.countNonZero(cv2.inRange(canvas, 128, 255)):
            return thinner
    return canvas


def _break(canvas: np.ndarray, rng: np.random.Generator) -> None:
    """Interrupt the ink along a thin line near the middle of the canvas, in place."""
    x, y = rng.uniform(0.2, 0.8, 2) * WARP_SIZE
    angle, reach = rng.uniform(0, math.pi), rng.uniform(3, 14)
    dx, dy = reach * math.cos(angle), reach * math.sin(angle)
    start, end = (round(x - dx), round(y - dy)), (round(x + dx), round(y + dy))
    cv2.line(canvas, start, end, 0, int(rng.integers(1, 4)))


def _fits(count: int, rng: np.random.Generator, strength: float) -> np.ndarray:
    """For each digit the longer side of its box and its centre in x and y, in pixels: float (count, 3).

    Most are fitted as MNIST is; the rest are small or fill the frame, and may touch its border.
    """
    free = rng.random(count) < strength * UNFITTED
    side = np.where(free, rng.uniform(9, 27, count), MNIST_BOX + rng.normal(0, 0.7, count))
    reach = np.where(free, (IMAGE_SIZE - side) / 2 + 1, 0.6)
    offset = rng.uniform(-1, 1, (2, count)) * reach
    return np.stack([side, MNIST_CENTRE + offset[0], MNIST_CENTRE + offset[1]], axis=1)


def _expose(images: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """The digits with other ink, clutter, paper and another camera: uint8 (n, 28, 28)."""
    count = len(images)

    def some_of(fraction: float) -> np.ndarray:
        """Indices of about this fraction of the digits, times the strength."""
        return np.nonzero(rng.random(count) < strength * fraction)[0]

    for index in some_of(0.12):
        images[index] = _coarsen(images[index], rng)
    _neighbours(images, some_of(0.04), rng)
    for index in some_of(0.18):
        mark = _CLUTTER[rng.integers(len(_CLUTTER))]
        mark(images[index], int(rng.integers(60, 256)), rng)
    light = images.astype(np.float32) / 255
    peak = light.max((1, 2), keepdims=True)
    light *= rng.uniform(0.75, 1.25, (count, 1, 1)) / np.maximum(peak, 0.1)

    some = some_of(0.20)  # uneven ink
    light[some] *= np.clip(0.75 + 0.35 * _shades(len(some), rng), 0.15, 1)
    some = some_of(0.15)  # hard edges, as after thresholding
    light[some] = (light[some] - 0.5) * rng.uniform(1.5, 8, (len(some), 1, 1)) + 0.5
    np.clip(light, 0, 1, out=light)
    some = some_of(0.15)  # paper that is not black: dim, bright, uneven
    paper = np.clip(rng.uniform(0, 0.6, (len(some), 1, 1)) + 0.12 * _shades(len(some), rng), 0, 0.9)
    light[some] = paper + light[some] * (1 - paper) * rng.uniform(0.5, 1, (len(some), 1, 1))
    some = some_of(0.25)  # grain
    light[some] += rng.standard_normal((len(some), IMAGE_SIZE, IMAGE_SIZE), np.float32) * np.minimum(
        rng.exponential(0.08, (len(some), 1, 1)), 0.3
    ).astype(np.float32)
    return (np.clip(light, 0, 1) * 255 + 0.5).astype(np.uint8)


def _shades(count: int, rng: np.random.Generator) -> np.ndarray:
    """Smooth random light over the frame, of mean zero and a spread of about one: float32 (count, 28, 28)."""
    factors = rng.standard_normal((count, len(_SHADE_BASIS)), np.float32)
    return (factors @ _SHADE_BASIS).reshape(count, IMAGE_SIZE, IMAGE_SIZE)


def _coarsen(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The digit as a picture of 8 to 16 pixels a side would show it: uint8 (28, 28)."""
    side = int(rng.integers(8, 17))
    small = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
    smooth = cv2.INTER_LINEAR if rng.random() < 0.5 else cv2.INTER_CUBIC
    return cv2.resize(small, (IMAGE_SIZE, IMAGE_SIZE), interpolation=smooth)


def _specks(image: np.ndarray, value: int, rng: np.random.Generator) -> None:
    """A few dots, drawn in place."""
    for x, y in rng.integers(0, IMAGE_SIZE, (int(rng.integers(1, 12)), 2)).tolist():
        cv2.circle(image, (x, y), int(rng.integers(0, 2)), value, -1)


def _scribbles(image: np.ndarray, value: int, rng: np.random.Generator) -> None:
    """One to three fine pen strokes across the digit, straight or with corners, drawn in place."""
    for _ in range(int(rng.integers(1, 4))):
        path = np.cumsum(rng.normal(0, 6, (4, 2)), axis=0) + rng.uniform(0, IMAGE_SIZE, 2)
        corners = 2 if rng.random() < 0.6 else 4
        cv2.polylines(image, [path[:corners].astype(np.int32)], False, value, int(rng.integers(1, 3)), cv2.LINE_AA)


def _rules(image: np.ndarray, value: int, rng: np.random.Generator) -> None:
    """Lines of squared or lined paper or of a form's box, nearly upright or level, drawn in place."""
    for _ in range(int(rng.integers(1, 4))):
        at, tilt = int(rng.integers(0, IMAGE_SIZE)), int(rng.integers(-2, 3))
        start, end = (0, at), (IMAGE_SIZE - 1, at + tilt)
        if rng.random() < 0.5:
            start, end = start[::-1], end[::-1]
        cv2.line(image, start, end, value, 1, cv2.LINE_AA)


def _edges(image: np.ndarray, value: int, rng: np.random.Generator) -> None:
    """The edge of a sheet, table or shadow along one to three sides, drawn in place."""
    for turn in rng.permutation(4)[: int(rng.integers(1, 4))]:
        side = np.rot90(image, int(turn))[: int(rng.integers(1, 7))]
        np.maximum(side, value, out=side)


_CLUTTER = (_specks, _scribbles, _rules, _edges)


def _neighbours(images: np.ndarray, chosen: np.ndarray, rng: np.random.Generator) -> None:
    """Draw, in place, the edge of another digit of the batch beside each chosen one, cut off by the frame."""
    others = images[chosen - 1]
    for image, other, shift in zip(chosen, others, rng.integers(16, 23, len(chosen)), strict=True):
        if rng.random() < 0.5:
            images[image, :, shift:] = np.maximum(images[image, :, shift:], other[:, : IMAGE_SIZE - shift])
        else:
            images[image, :, :-shift] = np.maximum(images[image, :, :-shift], other[:, shift:])
