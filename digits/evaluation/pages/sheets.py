"""The sheet that a simulated page of the examination is written on: its paper, print and light, and the camera.

For evaluation only; training's pages have papers, pens and textures of their own.
"""

import math
from dataclasses import dataclass, field

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from digits.evaluation.simulated_ink import PEN_GRAINS, Stroke, Writing, draw_ink

INKS = ((0.1, 0.1, 0.12), (0.1, 0.14, 0.55), (0.6, 0.1, 0.15), (0.25, 0.25, 0.28))
"""Red, green and blue that inks reflect."""

Box = tuple[float, float, float, float]
"""Left, top, width and height, in pixels."""


@dataclass(frozen=True, kw_only=True)
class PageConditions:
    """How a page was written and photographed. The defaults are a plain good photo."""

    frame: tuple[int, int] = (600, 800)
    """Height and width of the photo, in pixels."""
    lines: tuple[int, ...] = (6, 5, 7)
    """Digits in each line."""
    height: float = 0.09
    """Of the digits, as a fraction of the frame's shorter side."""
    height_spread: float = 0.08
    """Spread of the logarithm of the digits' heights."""
    gap: tuple[float, float] = (0.15, 0.6)
    """Between digits, in heights: least and most."""
    slant: float = 2.0
    """Largest slope of the lines, in degrees, up or down."""
    paper: str = "plain"
    """plain, lined, squared, table or boxes."""
    paper_brightness: tuple[float, float] = (150.0, 245.0)
    """Grey level of the paper in full light: least and most."""
    gradient: float = 0.2
    """Largest fraction of the light that is lost across the frame."""
    shadow: float = 0.0
    """Fraction of the light that is lost behind a hard edge across the frame."""
    show_through: float = 0.0
    """Opacity of what is written on the sheet's other side."""
    contrast: tuple[float, float] = (0.6, 0.95)
    """Opacity of the ink: least and most."""
    stroke_width: tuple[float, float] = (0.05, 0.12)
    """Of the pens, as a fraction of a digit's longer side: least and most."""
    pens: int = 1
    """How many different pens wrote the page."""
    words: int = 0
    """Words beside the digits."""
    light_on_dark: bool = False
    noise: float = 3.0
    """Standard deviation of the sensor noise, in grey levels."""
    blur: float = 0.7
    """Standard deviation of the lens blur, in pixels."""
    jpeg_quality: int = 85
    turn: int = 0
    """Quarter turns, counter-clockwise, by which the sheet lies turned."""


@dataclass(kw_only=True)
class Sheet:
    """A page that is being written: layers of ink float32 (H, W), each with its colour."""

    conditions: PageConditions
    rng: np.random.Generator
    ink: np.ndarray = field(init=False)
    printed: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.ink = np.zeros(self.conditions.frame, np.float32)
        self.printed = np.zeros(self.conditions.frame, np.float32)
        self.boxes: list[list[Box]] = []
        self.pens = [
            (
                str(self.rng.choice(list(PEN_GRAINS))) if self.conditions.contrast[1] > 0.85 else "ballpoint",
                self.rng.uniform(*self.conditions.stroke_width),
                self.rng.uniform(*self.conditions.contrast),
            )
            for _ in range(self.conditions.pens)
        ]

    def write(self, stroke: Stroke, middle: tuple[float, float], height: float) -> Box | None:
        """Write one digit; returns its box, None where the frame cuts it."""
        pen, width, contrast = self.pens[self.rng.integers(len(self.pens))]
        _, _, wide, high = stroke.box
        longer = height * max(wide, high) / max(high, 0.4 * wide, 1)
        side = math.ceil(1.4 * longer) + 4
        rotation = float(self.rng.normal(0, 3))
        writing = Writing(pen=pen, width=max(width, 1.2 / longer), size=longer / side, rotation=rotation)
        patch = contrast * draw_ink(stroke, writing, (side, side), np.eye(3), self.rng)
        left, top = round(middle[0] - side / 2), round(middle[1] - side / 2)
        x, y, w, h = cv2.boundingRect((patch > 0.15).astype(np.uint8))
        inside = left + x >= 0 and top + y >= 0 and left + x + w <= self.ink.shape[1] and top + y + h <= len(self.ink)
        if not inside or w < 1:
            return None
        low, high_row = max(0, top), min(len(self.ink), top + side)
        first, last = max(0, left), min(self.ink.shape[1], left + side)
        part = patch[low - top : high_row - top, first - left : last - left]
        target = self.ink[low:high_row, first:last]
        np.maximum(target, part, out=target)
        return (left + x, top + y, w, h)


WORDS = ("Name", "Total", "Datum", "Page", "Kunde", "PLEASE", "Ref", "Amount", "March", "Thank you", "Werk", "Form")


def print_words(sheet: Sheet, count: int) -> None:
    """Printed words where no digit is."""
    rng, free = sheet.rng, sheet.ink < 0.05
    height = sheet.conditions.height * min(sheet.conditions.frame)
    for _ in range(6 * count):
        patch = printed_text(WORDS[rng.integers(len(WORDS))], height * rng.uniform(0.35, 0.9))
        left, top = (
            int(rng.uniform(0, max(1, a - b))) for a, b in zip(free.shape[::-1], patch.shape[::-1], strict=True)
        )
        region = (slice(top, top + patch.shape[0]), slice(left, left + patch.shape[1]))
        if patch.shape != free[region].shape or not free[region].all():
            continue
        margin = (slice(max(0, top - 4), region[0].stop + 4), slice(max(0, left - 4), region[1].stop + 4))
        np.maximum(sheet.printed[region], patch * np.float32(rng.uniform(0.5, 0.95)), out=sheet.printed[region])
        free[margin] = False
        count -= 1
        if not count:
            return


def printed_text(text: str, size: float) -> np.ndarray:
    """Printed text, its letters about `size` pixels high: float32 (h, w) in 0..1."""
    font = ImageFont.load_default(max(6, size))
    left, top, right, bottom = (math.floor(value) for value in font.getbbox(text))
    picture = Image.new("L", (right - left + 4, bottom - top + 4))
    ImageDraw.Draw(picture).text((2 - left, 2 - top), text, fill=255, font=font)
    return np.asarray(picture, np.float32) / 255


def photographed(sheet: Sheet) -> np.ndarray:
    """uint8 (H, W, 3): the sheet on its paper, in its light, through a camera."""
    conditions, rng = sheet.conditions, sheet.rng
    rows, columns = conditions.frame
    brightness = rng.uniform(*conditions.paper_brightness) / 255
    grain = cv2.resize(rng.standard_normal((rows // 2 + 1, columns // 2 + 1), dtype=np.float32), (columns, rows))
    paper = brightness * (1 + np.float32(rng.uniform(0, 0.02)) * grain)
    light = paper * _light(sheet)
    ruled = np.maximum(sheet.printed, _rulings(sheet))
    behind = conditions.show_through * cv2.GaussianBlur(np.flipud(sheet.ink), (0, 0), 1.5)
    tint = 1 - np.sort(rng.uniform(0, 0.1, 3))
    ink = INKS[rng.integers(len(INKS))]
    channels = []
    for channel in range(3):
        seen = np.float32(tint[channel]) * (1 - 0.6 * ruled) * (1 - behind) * (1 - (1 - ink[channel]) * sheet.ink)
        seen = np.maximum(1.05 - seen, 0) if conditions.light_on_dark else seen
        channels.append(seen * light)
    picture = cv2.convertScaleAbs(cv2.merge(channels), alpha=255)
    picture = cv2.GaussianBlur(picture, (0, 0), conditions.blur)
    noise = conditions.noise * rng.standard_normal((rows, columns), dtype=np.float32)
    picture = cv2.add(picture, cv2.merge([noise] * 3), dtype=cv2.CV_8U)
    quality = (cv2.IMWRITE_JPEG_QUALITY, conditions.jpeg_quality)
    encoded = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), quality)[1]
    decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB)
    assert decoded is not None, "OpenCV reads what it wrote"
    return decoded


def _light(sheet: Sheet) -> np.ndarray:
    """float32 (H, W): fraction of the light that reaches each place."""
    conditions, rng = sheet.conditions, sheet.rng
    rows, columns = conditions.frame
    across = np.linspace(-0.5, 0.5, columns, dtype=np.float32)[None]
    down = np.linspace(-0.5, 0.5, rows, dtype=np.float32)[:, None]
    angle, edge = rng.uniform(0, 2 * math.pi, 2)
    light = 1 - rng.uniform(0, conditions.gradient) * (0.5 + math.cos(angle) * across + math.sin(angle) * down)
    if conditions.shadow:
        depth = (math.cos(edge) * across + math.sin(edge) * down - rng.uniform(-0.2, 0.2)) / rng.uniform(0.004, 0.02)
        light = light * (1 - conditions.shadow * np.clip(0.5 + depth, 0, 1))
    return np.clip(light, 0.05, 1.2).astype(np.float32)


def _rulings(sheet: Sheet) -> np.ndarray:
    """float32 (H, W): lines of lined or squared paper."""
    conditions, rng = sheet.conditions, sheet.rng
    lines = np.zeros(conditions.frame, np.float32)
    if conditions.paper not in ("lined", "squared"):
        return lines
    rows, columns = conditions.frame
    spacing = conditions.height * min(conditions.frame) * rng.uniform(0.5, 1.3)
    offset, lean = rng.uniform(0, spacing), math.tan(math.radians(rng.uniform(-2, 2)))
    for at in np.arange(offset, rows, spacing):
        ends = ((0, round(16 * (at - lean * columns / 2))), (16 * columns, round(16 * (at + lean * columns / 2))))
        cv2.line(lines, *ends, 1.0, 1, cv2.LINE_AA, 4)
    if conditions.paper == "squared":
        for at in np.arange(offset, columns, spacing):
            ends = ((round(16 * (at + lean * rows / 2)), 0), (round(16 * (at - lean * rows / 2)), 16 * rows))
            cv2.line(lines, *ends, 1.0, 1, cv2.LINE_AA, 4)
    return lines * np.float32(rng.uniform(0.3, 0.8))
