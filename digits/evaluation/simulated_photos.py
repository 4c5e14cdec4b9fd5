"""Simulated photos: a digit of MNIST drawn with a pen onto paper and photographed by a phone.

For evaluation only: training never sees these pictures, and nothing here is shared with augmentation.
The fields of PhotoConditions are the factors whose effect the report measures one at a time.
"""

import zlib
from dataclasses import dataclass

import cv2
import numpy as np

from digits.errors import require
from digits.evaluation.simulated_ink import PEN_GRAINS, Stroke, Writing, draw_ink, trace_stroke

RULINGS = ("plain", "lined", "squared")
SURROUNDINGS = ("paper", "table", "finger")
POLARITIES = ("dark_on_light", "light_on_dark")
RULING_COLOURS = ((0.55, 0.65, 0.9), (0.6, 0.6, 0.62), (0.9, 0.6, 0.6))
SKIN = (0.78, 0.56, 0.46)
BLACKEST_BOARD = 1.04
"""A light-on-dark photo is this minus the dark-on-light one, so that even the darkest board reflects something."""


@dataclass(frozen=True, kw_only=True)
class PhotoConditions:
    """How one digit was written and photographed. The defaults give a plain, good photo."""

    paper_brightness: float = 205.0
    """Grey level of the paper in full light, 0..255; more is over-exposed."""
    paper_colour: tuple[float, float, float] = (1.0, 0.99, 0.97)
    """Red, green and blue of the paper as a fraction of its brightness."""
    paper_texture: float = 0.012
    """Standard deviation of the paper's grain, as a fraction of its brightness."""
    gradient: float = 0.1
    """Fraction of the light lost from one side of the frame to the other."""
    shadow: float = 0.0
    """Fraction of the light lost behind a shadow edge that crosses the digit; 0 is no shadow."""
    ruling: str = "plain"
    """Printed lines on the paper: plain, lined or squared."""
    ruling_strength: float = 0.5
    """Opacity of the printed lines, 0..1."""
    pen: str = "felt"
    """What wrote the digit: ballpoint, pencil, felt or marker; decides how even the ink is."""
    ink_colour: tuple[float, float, float] = (0.08, 0.08, 0.1)
    """Red, green and blue that the ink reflects, each 0..1."""
    contrast: float = 0.85
    """Opacity of the ink: 0 leaves no trace, 1 covers the paper."""
    stroke_width: float = 0.09
    """Width of the stroke as a fraction of the digit's longer side."""
    size: float = 0.6
    """Longer side of the digit as a fraction of the frame's shorter side."""
    position: tuple[float, float] = (0.0, 0.0)
    """Across and down: 0 is the middle of the frame, -1 and 1 touch its edges."""
    rotation: float = 0.0
    """Turn of the paper in the frame, clockwise, in degrees."""
    perspective: float = 0.03
    """How far a slanted camera moves the corners of the paper, as a fraction of the frame."""
    surroundings: str = "paper"
    """What else is in the frame: paper (nothing else), table or finger."""
    polarity: str = "dark_on_light"
    """dark_on_light, or light_on_dark: the paper and its ink inverted, as chalk on a board."""
    blur: float = 0.6
    """Standard deviation of the lens blur, in pixels of the frame."""
    noise: float = 3.0
    """Standard deviation of the sensor noise, in grey levels."""
    jpeg_quality: int = 85
    """Quality of the JPEG compression, 1..100."""
    frame: tuple[int, int] = (200, 200)
    """Height and width of the photo, in pixels."""

    def __post_init__(self) -> None:
        for name, choices in (
            ("ruling", RULINGS),
            ("pen", tuple(PEN_GRAINS)),
            ("surroundings", SURROUNDINGS),
            ("polarity", POLARITIES),
        ):
            value = getattr(self, name)
            require(value in choices, f"{name} = {value!r}", f"one of {', '.join(choices)}", "use one of them")
        for name in ("gradient", "shadow", "ruling_strength", "contrast"):
            value = getattr(self, name)
            require(0 <= value <= 1, f"{name} = {value}", "a fraction from 0 to 1", "use 0.5, for example")
        require(min(self.frame) >= 16, f"frame = {self.frame}", "16 pixels or more each way", "use (200, 200)")
        require(0 < self.size <= 1, f"size = {self.size}", "a fraction in (0, 1]", "use 0.6, for example")
        require(
            0 < self.stroke_width <= 0.5,
            f"stroke_width = {self.stroke_width}",
            "a fraction of the digit's longer side in (0, 0.5]",
            "use 0.09, for example",
        )


def random_conditions(rng: np.random.Generator) -> PhotoConditions:
    """Conditions as they vary from desk to desk, pen to pen and phone to phone."""
    uniform = rng.uniform
    pen = str(rng.choice(list(PEN_GRAINS), p=(0.3, 0.2, 0.3, 0.2)))
    widths = {"ballpoint": (0.025, 0.06), "pencil": (0.03, 0.07), "felt": (0.05, 0.12), "marker": (0.1, 0.2)}
    contrasts = {"ballpoint": (0.4, 0.9), "pencil": (0.2, 0.7), "felt": (0.6, 1.0), "marker": (0.6, 1.0)}
    ink = (0.1, 0.1, 0.12)
    if pen != "pencil" and rng.random() < 0.5:
        ink = ((0.1, 0.14, 0.55), (0.7, 0.1, 0.15), (0.08, 0.4, 0.2), (0.3, 0.12, 0.45))[
            rng.choice(4, p=(0.7, 0.1, 0.1, 0.1))
        ]
    paper = uniform(0.5, 1.0, 3) if rng.random() < 0.15 else 1 - np.sort(uniform(0, 0.12, 3))
    return PhotoConditions(
        paper_brightness=uniform(110, 265),
        paper_colour=tuple((paper / paper.max()).tolist()),
        paper_texture=uniform(0.0, 0.035),
        gradient=uniform(0, 0.5) if rng.random() < 0.7 else 0.0,
        shadow=uniform(0.15, 0.5) if rng.random() < 0.15 else 0.0,
        ruling=str(rng.choice(RULINGS, p=(0.7, 0.15, 0.15))),
        ruling_strength=uniform(0.15, 0.7),
        pen=pen,
        ink_colour=ink,
        contrast=uniform(*contrasts[pen]),
        stroke_width=uniform(*widths[pen]),
        size=uniform(0.25, 0.85),
        position=tuple(np.clip(rng.normal(0, 0.35, 2), -0.9, 0.9).tolist()),
        rotation=float(np.clip(rng.normal(0, 6), -18, 18)),
        perspective=uniform(0, 0.1),
        surroundings=str(rng.choice(SURROUNDINGS, p=(0.85, 0.08, 0.07))),
        polarity=str(rng.choice(POLARITIES, p=(0.85, 0.15))),
        blur=uniform(0.3, 2.0),
        noise=uniform(0, 8),
        jpeg_quality=int(rng.integers(30, 96)),
        frame=(side := int(rng.integers(150, 301)), int(side * uniform(0.75, 1.34))),
    )


def simulate_photo(
    digit: np.ndarray, rng: np.random.Generator, conditions: PhotoConditions | None = None
) -> np.ndarray:
    """uint8 (28, 28), light ink on black -> uint8 (H, W, 3): the digit on paper, photographed.

    Without `conditions`, random ones are drawn. What they leave open (the direction of light, grain, which way the
    camera slants) comes from `rng` too.
    """
    if conditions is None:
        conditions = random_conditions(rng)
    return photograph(trace_stroke(digit), rng, conditions)


def photo_set(digits: np.ndarray, seed: int, conditions: PhotoConditions | None) -> list[np.ndarray]:
    """uint8 (N, 28, 28) -> N photos uint8 (H, W, 3), one for each digit, in order.

    A photo depends only on `seed` and its own digit, so however the work is split, the photos are the same.
    """
    return [simulate_photo(digit, generator_of(digit, seed), conditions) for digit in digits]


def generator_of(digit: np.ndarray, seed: int) -> np.random.Generator:
    """A generator that depends on a digit's pixels, uint8 (28, 28), and a seed, but not on the digit's position."""
    return np.random.default_rng((seed, zlib.crc32(digit.tobytes())))


def photograph(stroke: Stroke, rng: np.random.Generator, conditions: PhotoConditions) -> np.ndarray:
    """uint8 (H, W, 3): a stroke, drawn on paper under the conditions and photographed."""
    height, width = conditions.frame
    slant = _slant(conditions, rng)
    texture = 1 + conditions.paper_texture * _smooth_noise(rng, (height, width), 2)
    printed = _ruling(conditions, slant, rng) * np.float32(conditions.ruling_strength)
    printed_colour = RULING_COLOURS[rng.integers(len(RULING_COLOURS))]
    writing = Writing(
        pen=conditions.pen,
        width=conditions.stroke_width,
        size=conditions.size,
        position=conditions.position,
        rotation=conditions.rotation,
    )
    ink = conditions.contrast * draw_ink(stroke, writing, conditions.frame, slant, rng)
    light = _light(conditions, rng)
    colours = []
    # Ink and print let a fraction of the paper's light through, different for each colour.
    for channel in range(3):
        paper = texture * np.float32(conditions.paper_colour[channel] * conditions.paper_brightness / 255)
        paper *= 1 - np.float32(1 - printed_colour[channel]) * printed
        paper *= 1 - np.float32(1 - conditions.ink_colour[channel]) * ink
        colours.append(paper)
    if conditions.polarity == "light_on_dark":
        colours = [np.maximum(BLACKEST_BOARD - colour, 0) for colour in colours]
    _add_surroundings(colours, conditions.surroundings, rng)
    return _exposed(cv2.merge([colour * light for colour in colours]), conditions, rng)


def _slant(conditions: PhotoConditions, rng: np.random.Generator) -> np.ndarray:
    """float32 (3, 3): maps paper to frame, both in pixels, for a camera that looks at the paper at an angle."""
    height, width = conditions.frame
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    moves = conditions.perspective * min(height, width) * rng.uniform(-1, 1, (4, 2))
    return cv2.getPerspectiveTransform(corners, (corners + moves).astype(np.float32))


def _smooth_noise(rng: np.random.Generator, shape: tuple[int, int], cell: int) -> np.ndarray:
    """float32 (H, W) of mean 0 and a standard deviation near 1, correlated over `cell` pixels."""
    coarse = rng.standard_normal((shape[0] // cell + 2, shape[1] // cell + 2), dtype=np.float32)
    return cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_LINEAR) * 1.4


def _ruling(conditions: PhotoConditions, slant: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """float32 (H, W) in 0..1: where lines are printed."""
    height, width = conditions.frame
    lines = np.zeros((height, width), np.uint8)
    if conditions.ruling == "plain":
        return lines.astype(np.float32)
    # Ruled lines are 5 to 8 mm apart; a written digit is about one or two of those spaces high.
    spacing = max(6.0, conditions.size * min(height, width) * rng.uniform(0.35, 1.0))
    turn = np.radians(conditions.rotation)
    directions = [(np.cos(turn), np.sin(turn))]
    if conditions.ruling == "squared":
        directions.append((-np.sin(turn), np.cos(turn)))
    reach, centre = height + width, np.array((width, height)) / 2
    for direction in np.array(directions):
        normal = np.array((-direction[1], direction[0]))
        for offset in np.arange(-reach / 2 + rng.uniform(0, spacing), reach / 2, spacing):
            ends = centre + offset * normal + np.outer((-reach, reach), direction)
            ends = cv2.perspectiveTransform(ends[None].astype(np.float64), slant)[0]
            # Sixteenths of a pixel, as OpenCV takes them.
            start, end = np.rint(ends * 16).astype(int).tolist()
            cv2.line(lines, start, end, 255, 1, cv2.LINE_AA, 4)
    return lines.astype(np.float32) / 255


def _add_surroundings(colours: list[np.ndarray], surroundings: str, rng: np.random.Generator) -> None:
    """Draw a table beyond the paper's edge, or a finger that holds it, into three float32 (H, W)."""
    if surroundings == "paper":
        return
    height, width = colours[0].shape
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float64)
    side = rng.integers(4)
    start, end = corners[side], corners[(side + 1) % 4]
    inwards = corners[(side + 2) % 4] - end
    if surroundings == "table":
        depths = rng.uniform(0.01, 0.09, 2)
        outline = np.rint([start, end, end + depths[0] * inwards, start + depths[1] * inwards]).astype(np.int32)
        shade = rng.uniform(0.1, 0.9) * np.array((1.0, rng.uniform(0.75, 1), rng.uniform(0.55, 1)))
    else:
        # The tip of a thumb: an ellipse whose centre is on the frame's edge.
        middle = start + rng.uniform(0.2, 0.8) * (end - start)
        axes = np.rint(min(height, width) * rng.uniform((0.07, 0.1), (0.11, 0.16))).astype(int).tolist()
        outline = np.array(
            cv2.ellipse2Poly(np.rint(middle).astype(int).tolist(), axes, int(rng.integers(180)), 0, 360, 10), np.int32
        )
        shade = rng.uniform(0.5, 1.1) * np.array(SKIN)
    for colour, value in zip(colours, shade, strict=True):
        cv2.fillPoly(colour, [outline], float(value))


def _light(conditions: PhotoConditions, rng: np.random.Generator) -> np.ndarray:
    """float32 (H, W): the fraction of the light that reaches each point of the frame."""
    height, width = conditions.frame
    across = np.linspace(-0.5, 0.5, width, dtype=np.float32)[None]
    down = np.linspace(-0.5, 0.5, height, dtype=np.float32)[:, None]
    angle, edge_angle = rng.uniform(0, 2 * np.pi, 2).astype(np.float32)
    extent = abs(np.cos(angle)) + abs(np.sin(angle))
    light = 1 - conditions.gradient * (0.5 + (np.cos(angle) * across + np.sin(angle) * down) / extent)
    offset, softness = rng.uniform(-0.15, 0.15), rng.uniform(0.004, 0.04)
    if conditions.shadow > 0:
        depth = np.cos(edge_angle) * across + np.sin(edge_angle) * down - offset
        light *= 1 - conditions.shadow * np.clip(0.5 + depth / (2 * softness), 0, 1)
    return light.astype(np.float32)


def _exposed(light: np.ndarray, conditions: PhotoConditions, rng: np.random.Generator) -> np.ndarray:
    """float32 (H, W, 3) in 0..1 and above -> uint8 (H, W, 3): lens, sensor and JPEG."""
    image = cv2.convertScaleAbs(light, alpha=255)
    if conditions.blur > 0:
        image = cv2.GaussianBlur(image, (0, 0), conditions.blur)
    if conditions.noise > 0:
        noise = np.float32(conditions.noise) * rng.standard_normal(image.shape[:2], dtype=np.float32)
        image = cv2.add(image, cv2.merge([noise] * 3), dtype=cv2.CV_8U)
    # OpenCV's JPEG wants blue first.
    quality = (cv2.IMWRITE_JPEG_QUALITY, int(conditions.jpeg_quality))
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), quality)
    decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB)
    assert decoded is not None, "OpenCV reads what it wrote"
    return decoded
