"""Words and letters for training's simulated pages, by hand and in print: what stands beside digits and is none.

Everything draws ink in place on float32 (H, W), 0 paper, 1 ink.
"""

import string
from collections.abc import Sequence

import cv2
import numpy as np

from digits.augmentation.hand import smooth
from digits.augmentation.page_digits import lay
from digits.augmentation.page_marks import log_uniform, stroke

FONTS = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_PLAIN,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
    cv2.FONT_HERSHEY_SCRIPT_SIMPLEX,
    cv2.FONT_HERSHEY_SCRIPT_COMPLEX,
)
PRINTED_SIGNS = [letter for letter in string.ascii_letters if letter not in "OoIlSsZzqgbBDQ"] + list("?&@#$%*+=<>~{}!;")
"""Printed signs that nobody takes for a digit, even where they stand alone."""
VOWELS, CONSONANTS = "aeiouaeio", "nrtshldcmpbgwfkvyj"

Paths = Sequence[Sequence[tuple[float, float]]]
LETTERS: dict[str, Paths] = {
    "a": [[(0.55, 0.2), (0.3, 0), (0.02, 0.4), (0.15, 0.95), (0.45, 0.8), (0.57, 0.1), (0.57, 0.8), (0.7, 1)]],
    "b": [[(0.05, -0.8), (0.05, 0.9)], [(0.05, 0.3), (0.35, 0), (0.6, 0.45), (0.35, 1), (0.05, 0.85)]],
    "c": [[(0.55, 0.15), (0.3, 0), (0.02, 0.5), (0.25, 1), (0.6, 0.8)]],
    "d": [[(0.55, 0.2), (0.3, 0), (0.02, 0.5), (0.25, 1), (0.55, 0.7)], [(0.57, -0.8), (0.57, 0.85), (0.7, 1)]],
    "e": [[(0.05, 0.5), (0.5, 0.45), (0.45, 0.05), (0.15, 0.1), (0.03, 0.5), (0.2, 1), (0.6, 0.8)]],
    "f": [[(0.55, -0.7), (0.35, -0.8), (0.25, -0.4), (0.25, 1.1)], [(0.02, 0.05), (0.5, 0.02)]],
    "g": [[(0.55, 0.15), (0.25, 0), (0.03, 0.45), (0.25, 0.9), (0.55, 0.6), (0.57, 0.05), (0.5, 1.5), (0.02, 1.4)]],
    "h": [[(0.05, -0.8), (0.05, 1)], [(0.05, 0.4), (0.3, 0), (0.52, 0.3), (0.52, 1)]],
    "i": [[(0.1, 0.05), (0.1, 0.9), (0.22, 1)], [(0.1, -0.4), (0.12, -0.36)]],
    "j": [[(0.3, 0.05), (0.3, 1.3), (0.1, 1.65), (-0.05, 1.4)], [(0.3, -0.4), (0.32, -0.36)]],
    "k": [[(0.05, -0.8), (0.05, 1)], [(0.5, 0.05), (0.08, 0.55), (0.55, 1)]],
    "l": [[(0.1, -0.8), (0.1, 0.85), (0.25, 1)]],
    "m": [
        [(0.05, 0.05), (0.05, 1)],
        [(0.05, 0.4), (0.25, 0), (0.38, 0.3), (0.38, 1)],
        [(0.38, 0.4), (0.58, 0), (0.72, 0.3), (0.72, 1)],
    ],
    "n": [[(0.05, 0.05), (0.05, 1)], [(0.05, 0.4), (0.3, 0), (0.52, 0.3), (0.52, 1)]],
    "o": [[(0.3, 0), (0.02, 0.5), (0.3, 1), (0.58, 0.5), (0.3, 0)]],
    "p": [[(0.05, 0.05), (0.05, 1.7)], [(0.05, 0.3), (0.35, 0), (0.6, 0.45), (0.35, 1), (0.05, 0.8)]],
    "r": [[(0.08, 0.05), (0.08, 1)], [(0.08, 0.45), (0.25, 0.05), (0.5, 0.1)]],
    "s": [[(0.5, 0.1), (0.2, 0), (0.1, 0.3), (0.45, 0.6), (0.4, 0.95), (0.05, 0.9)]],
    "t": [[(0.25, -0.5), (0.25, 0.85), (0.5, 0.95)], [(0.02, 0.02), (0.5, 0)]],
    "u": [[(0.05, 0.05), (0.08, 0.8), (0.3, 1), (0.52, 0.7), (0.55, 0.05)], [(0.55, 0.05), (0.55, 1)]],
    "v": [[(0.03, 0.05), (0.28, 1), (0.55, 0.05)]],
    "w": [[(0.03, 0.05), (0.18, 1), (0.36, 0.2), (0.54, 1), (0.72, 0.05)]],
    "x": [[(0.03, 0.05), (0.55, 1)], [(0.55, 0.05), (0.03, 1)]],
    "y": [[(0.05, 0.05), (0.1, 0.7), (0.35, 0.8), (0.55, 0.05)], [(0.55, 0.05), (0.5, 1.3), (0.2, 1.65), (0.0, 1.4)]],
    "A": [[(0.05, 1), (0.32, -0.7)], [(0.32, -0.7), (0.6, 1)], [(0.15, 0.45), (0.5, 0.45)]],
    "E": [
        [(0.55, -0.7), (0.06, -0.7)],
        [(0.06, -0.7), (0.06, 1)],
        [(0.06, 0.15), (0.45, 0.15)],
        [(0.06, 1), (0.58, 1)],
    ],
    "F": [[(0.55, -0.7), (0.06, -0.7)], [(0.06, -0.7), (0.06, 1)], [(0.06, 0.15), (0.42, 0.15)]],
    "G": [[(0.55, -0.5), (0.3, -0.72), (0.02, 0.1), (0.25, 1), (0.57, 0.75), (0.57, 0.25), (0.3, 0.25)]],
    "H": [[(0.06, -0.7), (0.06, 1)], [(0.58, -0.7), (0.58, 1)], [(0.06, 0.15), (0.58, 0.15)]],
    "K": [[(0.06, -0.7), (0.06, 1)], [(0.55, -0.7), (0.08, 0.2), (0.6, 1)]],
    "L": [[(0.08, -0.7), (0.08, 1)], [(0.08, 1), (0.58, 1)]],
    "M": [
        [(0.04, 1), (0.08, -0.7)],
        [(0.08, -0.7), (0.36, 0.4)],
        [(0.36, 0.4), (0.64, -0.7)],
        [(0.64, -0.7), (0.7, 1)],
    ],
    "N": [[(0.06, 1), (0.06, -0.7)], [(0.06, -0.7), (0.56, 1)], [(0.56, 1), (0.56, -0.7)]],
    "P": [[(0.06, -0.7), (0.06, 1)], [(0.06, -0.68), (0.5, -0.6), (0.5, 0.05), (0.06, 0.2)]],
    "R": [[(0.06, -0.7), (0.06, 1)], [(0.06, -0.68), (0.5, -0.6), (0.5, 0.05), (0.06, 0.2)], [(0.2, 0.2), (0.58, 1)]],
    "T": [[(0.0, -0.7), (0.64, -0.7)], [(0.32, -0.7), (0.32, 1)]],
    "U": [[(0.05, -0.7), (0.08, 0.7), (0.3, 1), (0.52, 0.7), (0.56, -0.7)]],
    "V": [[(0.03, -0.7), (0.3, 1)], [(0.3, 1), (0.58, -0.7)]],
    "W": [[(0.02, -0.7), (0.18, 1)], [(0.18, 1), (0.36, -0.3)], [(0.36, -0.3), (0.54, 1)], [(0.54, 1), (0.72, -0.7)]],
    "X": [[(0.03, -0.7), (0.57, 1)], [(0.57, -0.7), (0.03, 1)]],
    "Y": [[(0.03, -0.7), (0.3, 0.1)], [(0.57, -0.7), (0.3, 0.1)], [(0.3, 0.1), (0.3, 1)]],
    "alpha": [[(0.7, 0.05), (0.4, 0.9), (0.1, 0.95), (0.02, 0.4), (0.25, 0.02), (0.45, 0.3), (0.7, 1)]],
    "beta": [
        [(0.05, 1.6), (0.1, -0.4), (0.35, -0.75), (0.55, -0.4), (0.25, 0.05), (0.6, 0.35), (0.5, 0.9), (0.12, 0.9)]
    ],
    "gamma": [[(0.02, 0.1), (0.2, 0.05), (0.35, 0.8), (0.3, 1.6), (0.2, 1.3), (0.6, 0.0)]],
    "lambda": [[(0.05, -0.7), (0.2, -0.6), (0.6, 1)], [(0.35, -0.1), (0.05, 1)]],
    "pi": [[(0.0, 0.1), (0.7, 0.02)], [(0.2, 0.1), (0.15, 1)], [(0.5, 0.1), (0.5, 0.9), (0.65, 1)]],
    "omega": [[(0.15, 0.05), (0.02, 0.6), (0.2, 1), (0.38, 0.5), (0.55, 1), (0.72, 0.6), (0.6, 0.05)]],
    "Sigma": [[(0.55, -0.6), (0.02, -0.7), (0.35, 0.1), (0.02, 1), (0.6, 0.95)]],
    "Delta": [[(0.3, -0.7), (0.0, 1)], [(0.0, 1), (0.62, 1)], [(0.62, 1), (0.3, -0.7)]],
}
"""Strokes of handwritten letters: x from 0, y from 0 at the x-height to 1 at the line they stand on."""
ALONE = [letter for letter in LETTERS if letter not in "lbgosijyLGfr"]
"""Letters that are no digit even where they stand alone."""


def word(rng: np.random.Generator, shortest: int = 3, longest: int = 8) -> str:
    """A word of no language, its vowels and consonants in turn."""
    turn = int(rng.integers(2))
    letters = ""
    for place in range(int(rng.integers(shortest, longest + 1))):
        choices = VOWELS if (place + turn) % 2 else CONSONANTS
        letters += choices[rng.integers(len(choices))]
    return (letters, letters.capitalize(), letters.upper())[rng.choice(3, p=(0.5, 0.25, 0.25))]


def handwrite(
    ink: np.ndarray,
    letters: Sequence[str],
    start: tuple[float, float],
    size: float,
    pen: float,
    rng: np.random.Generator,
) -> float:
    """Write letters from `start`, x-height `size` pixels; returns the x at which the next word may begin."""
    x, y = start
    slope, slant = rng.normal(0, 0.05), rng.normal(0.15, 0.2)
    joins, breadth, gap = rng.random() < 0.5, rng.uniform(0.8, 1.25), rng.uniform(0.05, 0.4)
    last = None
    for letter in letters:
        for number, path in enumerate(LETTERS.get(letter, ())):
            points = np.array(path, float) + rng.normal(0, 0.04, (len(path), 2))
            points = smooth(points) if len(points) > 2 else points
            across = x + (points[:, 0] * breadth - (points[:, 1] - 1) * slant) * size
            down = y + (points[:, 1] - 1) * size + (across - start[0]) * slope
            line = np.stack([across, down], 1)
            if joins and last is not None and number == 0:
                line = np.concatenate([last[None], line])
            stroke(ink, line, pen)
            last = line[-1]
        last = last if letter.islower() else None
        x += (0.62 * breadth + gap + (0.15 if letter in "mwMW" else 0)) * size
    return x


def print_text(text: str, height: float, pen: float, rng: np.random.Generator) -> np.ndarray:
    """Printed text about `height` pixels high: ink float32 (h, w) in 0..1, at times bent and tilted."""
    font = FONTS[rng.integers(len(FONTS))]
    (width, tall), below = cv2.getTextSize(text, font, 2.0, 1)
    scale = height / max(tall, 1)
    canvas = np.zeros((tall + below + 24, width + 24), np.uint8)
    cv2.putText(canvas, text, (12, tall + 10), font, 2.0, 255, max(1, round(pen / scale)), cv2.LINE_AA)
    size = (max(3, int(canvas.shape[1] * scale * rng.uniform(0.75, 1.25))), max(3, int(canvas.shape[0] * scale)))
    patch = cv2.resize(canvas, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    patch = patch.astype(np.float32) / 255
    if rng.random() < 0.5:
        middle = (patch.shape[1] / 2, patch.shape[0] / 2)
        matrix = cv2.getRotationMatrix2D(middle, rng.normal(0, 6), 1)
        lean = rng.normal(0.1, 0.2)
        matrix[0] += (0, -lean, lean * middle[1])
        patch = cv2.warpAffine(patch, matrix, patch.shape[::-1])
    return patch


def write_letters(ink: np.ndarray, count: int, size: float, pen: float, rng: np.random.Generator) -> None:
    """Words and single letters anywhere, by hand or printed."""
    height, width = ink.shape
    if rng.random() < 0.65:
        for _ in range(count):
            small = size * rng.uniform(0.45, 1.0)
            x, y = rng.uniform(-0.3, 0.8) * width, rng.uniform(0.05, 1.0) * height
            if rng.random() < 0.4:
                handwrite(ink, [ALONE[rng.integers(len(ALONE))]], (x, y), small, pen, rng)
                continue
            while x < width and rng.random() < 0.9:
                x = handwrite(ink, word(rng), (x, y), small, pen, rng) + 0.5 * small
        return
    for _ in range(count):
        text = PRINTED_SIGNS[rng.integers(len(PRINTED_SIGNS))] if rng.random() < 0.45 else word(rng)
        patch = print_text(text, size * rng.uniform(0.7, 1.2), pen, rng)
        left = int(rng.uniform(-patch.shape[1] * 0.5, width - patch.shape[1] * 0.3))
        lay(ink, patch, left, int(rng.uniform(-patch.shape[0] * 0.3, height - patch.shape[0] * 0.6)))


def print_lines(ink: np.ndarray, rng: np.random.Generator) -> None:
    """Lines of printed text one below the other."""
    height, width = ink.shape
    size = log_uniform(rng, 5, 26)
    for line in range(int(rng.integers(1, 9))):
        text = " ".join(word(rng, 2, 9) for _ in range(int(rng.integers(1, 5))))
        patch = print_text(text, size, size * rng.uniform(0.06, 0.16), rng)
        lay(ink, patch, int(rng.uniform(-60, width * 0.6)), int(line * size * 1.7 + rng.uniform(-5, height * 0.3)))
