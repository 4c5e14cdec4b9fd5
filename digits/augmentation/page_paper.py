"""Paper, light and camera of training's simulated pages: from ink to a grey picture.

Shares nothing with the pictures that networks are examined on (`digits.evaluation`).
"""

import math

import cv2
import numpy as np

from digits.augmentation.page_marks import log_uniform


def photographed(
    ink: np.ndarray, printed: np.ndarray, fine: float, kept: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Ink and print float32 (S, S) in 0..1 on some paper in some light -> uint8 (S, S), dark on light.

    `fine` is the lens blur, in pixels, that the smallest digit bears; `kept`, bool (S, S), is where digits are: no
    other thing lies there.
    """
    side = len(ink)
    paper = _light(side, rng) * _paper(side, rng)
    if rng.random() < 0.1:
        _things(paper, kept, rng)
    opacity = 1 - log_uniform(rng, 0.03, 0.88)
    if rng.random() < 0.25:  # tooth of the paper
        ink = ink * (1 - rng.uniform(0.2, 0.8) * rng.random((side, side), dtype=np.float32))
    if rng.random() < 0.25:  # pressure of the hand
        ink = ink * (1 - rng.uniform(0.1, 0.7) * _smooth(side, 12, rng, uniform=True))
    if rng.random() < 0.15:
        ink = _broken(ink, rng)
    print_opacity = rng.uniform(0.15, 0.95) if rng.random() < 0.75 else opacity
    picture = paper * (1 - print_opacity * printed) * (1 - opacity * ink)
    if rng.random() < 0.2:  # the other side of the sheet shows through, turned over either way
        behind = cv2.GaussianBlur(np.flip(ink, int(rng.integers(2))), (0, 0), rng.uniform(0.8, 2.5))
        picture *= 1 - rng.uniform(0.03, 0.35) * opacity * behind
    if rng.random() < 0.85:
        picture = cv2.GaussianBlur(picture, (0, 0), log_uniform(rng, 0.3, max(0.5, fine)))
    noise = rng.uniform(0, 3) if rng.random() < 0.7 else rng.uniform(2, 12)
    picture += noise * rng.standard_normal((side, side), dtype=np.float32)
    if rng.random() < 0.08:  # a scan that was thresholded
        middle = np.median(picture)
        picture = 128 + (picture - 0.8 * middle) * rng.uniform(3, 12)
    picture = np.clip(picture, 0, 255).astype(np.uint8)
    if rng.random() < 0.35:
        quality = (cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 95)))
        picture = cv2.imdecode(cv2.imencode(".jpg", picture, quality)[1], cv2.IMREAD_GRAYSCALE)
    return picture


def _smooth(side: int, cells: int, rng: np.random.Generator, *, uniform: bool = False) -> np.ndarray:
    """float32 (side, side), correlated over side / cells pixels: normal, or uniform in 0..1."""
    coarse = (rng.random if uniform else rng.standard_normal)((cells, cells), dtype=np.float32)
    field = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    return np.clip(field, 0, 1) if uniform else field


def _light(side: int, rng: np.random.Generator) -> np.ndarray:
    """float32 (side, side): the light on the sheet: a slope, a bright spot, a shadow with a hard or soft edge."""
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / side - 0.5
    light = np.ones((side, side), np.float32)
    if rng.random() < 0.8:
        angle = rng.uniform(0, 2 * math.pi)
        light *= 1 + rng.uniform(0, 0.6) * (math.cos(angle) * x + math.sin(angle) * y)
    if rng.random() < 0.2:
        middle = rng.uniform(-0.5, 0.5, 2)
        light *= 1 - rng.uniform(0, 0.6) * ((x - middle[0]) ** 2 + (y - middle[1]) ** 2)
    for _ in range(int(rng.choice(3, p=(0.75, 0.2, 0.05)))):
        angle = rng.uniform(0, 2 * math.pi)
        depth = math.cos(angle) * x + math.sin(angle) * y - rng.uniform(-0.4, 0.4)
        edge = log_uniform(rng, 0.004, 0.25)
        light *= 1 - rng.uniform(0.1, 0.7) * np.clip(0.5 + depth / (2 * edge), 0, 1)
    return light


def _paper(side: int, rng: np.random.Generator) -> np.ndarray:
    """float32 (side, side), grey levels: paper with grain, mottles, folds."""
    paper = np.full((side, side), rng.uniform(50, 255), np.float32)
    if rng.random() < 0.5:
        paper *= 1 + rng.uniform(0, 0.05) * _smooth(side, side // 3, rng)
    if rng.random() < 0.12:
        paper *= np.clip(1 + rng.uniform(0.02, 0.25) * _smooth(side, int(rng.integers(5, 90)), rng), 0.2, 1.8)
    if rng.random() < 0.08:  # a fold, with light on one side of it and shadow on the other
        y, x = np.mgrid[0:side, 0:side].astype(np.float32)
        angle, at = rng.uniform(0, math.pi), rng.uniform(0.2, 0.8) * side
        distance = math.cos(angle) * (x - at) + math.sin(angle) * (y - at)
        paper *= 1 - rng.uniform(-0.3, 0.3) * np.exp(-np.abs(distance) / log_uniform(rng, 1.5, 20))
    return paper


def _things(paper: np.ndarray, kept: np.ndarray, rng: np.random.Generator) -> None:
    """Blobs that lie on or beside the sheet, drawn in place."""
    side = len(paper)
    for _ in range(int(rng.integers(1, 6))):
        mask = np.zeros_like(paper)
        middle = tuple(int(value) for value in rng.uniform(-20, side + 20, 2))
        axes = tuple(int(value) for value in rng.uniform(5, 90, 2))
        cv2.ellipse(mask, middle, axes, rng.uniform(0, 180), 0, 360, 1.0, -1, cv2.LINE_AA)
        mask[kept] = 0
        paper *= 1 - rng.uniform(0.1, 0.9) * cv2.GaussianBlur(mask, (0, 0), log_uniform(rng, 0.4, 8))


def _broken(ink: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Ink that failed along fine lines."""
    gaps = np.zeros_like(ink)
    side = len(ink)
    for _ in range(int(rng.integers(2, 12))):
        start = rng.uniform(0, side, 2)
        end = start + rng.normal(0, 0.2 * side, 2)
        points = [tuple(np.rint(point).astype(int).tolist()) for point in (start, end)]
        cv2.line(gaps, points[0], points[1], float(rng.uniform(0.4, 1)), 1, cv2.LINE_AA)
    return ink * (1 - gaps)
