"""Simulated pages: many digits of MNIST and in unseen styles, written on sheets and photographed; and pages of none.

For evaluation only: training's pages are made elsewhere, and neither paper, pens, styles nor textures are shared with
them. Each page is made under one named condition, so that a score tells which condition breaks which reader.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from digits.evaluation.simulated_ink import PEN_GRAINS, Stroke, drawn_ink, stroke_of
from digits.evaluation.unseen_styles import STYLES, written

UNSEEN = 0.2
"""Part of the digits that is written in a style of STYLES instead of MNIST's."""
INKS = ((0.1, 0.1, 0.12), (0.1, 0.14, 0.55), (0.6, 0.1, 0.15), (0.25, 0.25, 0.28))
"""Red, green and blue that inks reflect."""
MOST_TRIES = 20
"""How often a page is begun anew because no line fitted into its frame."""
_STYLES_OF = {digit: [name for name, (label, _) in STYLES.items() if label == digit] for digit in range(10)}

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
    """Largest part of the light that is lost across the frame."""
    shadow: float = 0.0
    """Part of the light that is lost behind a hard edge across the frame."""
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


PLAIN = PageConditions()
CONDITIONS: dict[str, PageConditions] = {
    "plain": PLAIN,
    "thin pen": replace(PLAIN, stroke_width=(0.025, 0.045), contrast=(0.4, 0.8)),
    "marker": replace(PLAIN, stroke_width=(0.14, 0.2), lines=(4, 4)),
    "lined paper": replace(PLAIN, paper="lined"),
    "squared paper": replace(PLAIN, paper="squared", stroke_width=(0.05, 0.09)),
    "table": replace(PLAIN, paper="table", lines=(5, 5, 5)),
    "printed boxes": replace(PLAIN, paper="boxes", lines=(6, 6), words=2),
    "hard shadow": replace(PLAIN, shadow=0.5),
    "show-through": replace(PLAIN, show_through=0.25),
    "mixed sizes and pens": replace(PLAIN, height_spread=0.3, pens=3, lines=(5, 4, 5)),
    "touching": replace(PLAIN, gap=(-0.08, 0.06)),
    "slanted": replace(PLAIN, slant=16.0, lines=(5, 5)),
    "small": replace(PLAIN, frame=(1500, 2000), height=0.02, lines=(10,) * 10, gap=(0.5, 1.2)),
    "webcam": replace(PLAIN, frame=(480, 640), noise=9.0, blur=1.3, jpeg_quality=45, contrast=(0.45, 0.8)),
    "light on dark": replace(PLAIN, light_on_dark=True),
    "beside words": replace(PLAIN, words=5, lines=(5, 6)),
    "turned": replace(PLAIN, turn=1, lines=(6, 6, 6)),
    "upside down": replace(PLAIN, turn=2, lines=(6, 6, 6)),
    "one digit": replace(PLAIN, frame=(240, 240), lines=(1,), height=0.55),
    "two in 28x28": replace(
        PLAIN, frame=(28, 28), lines=(2,), height=0.6, gap=(0.02, 0.15), noise=0.0, blur=0.4, light_on_dark=True
    ),
}
"""Conditions by name."""
WITHOUT_DIGITS = ("blank", "words", "letters", "shapes", "texture")
"""Kinds of pages that show no digit."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SimulatedPage:
    """A page and the truth about it."""

    picture: np.ndarray
    """uint8 (H, W, 3), RGB."""
    lines: tuple[str, ...]
    """Digits of each line, in reading order; none on a page without digits."""
    boxes: tuple[Box, ...]
    """One for each digit, in reading order, in the picture."""
    rotation: int = 0
    """Degrees clockwise by which the picture must be turned to be read."""

    @property
    def digits(self) -> str:
        """All digits in reading order."""
        return "".join(self.lines)


@dataclass(kw_only=True)
class _Sheet:
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
        patch = contrast * drawn_ink(
            stroke,
            (side, side),
            np.eye(3),
            width=max(width, 1.2 / longer),
            size=longer / side,
            position=(0.0, 0.0),
            rotation=float(self.rng.normal(0, 3)),
            pen=pen,
            rng=self.rng,
        )
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


def simulated_page(
    digits: np.ndarray, labels: np.ndarray, rng: np.random.Generator, conditions: PageConditions
) -> SimulatedPage:
    """A page written with digits drawn from uint8 (N, 28, 28), light ink on black, and integer labels (N,).

    A line is left out as a whole where the frame would cut one of its digits. Equal generators give equal pixels.
    """
    for _ in range(MOST_TRIES):
        sheet = _Sheet(conditions=conditions, rng=rng)
        texts = _write_lines(sheet, digits, labels)
        if texts:
            break
    if conditions.words:
        _print_words(sheet, conditions.words)
    picture = _photograph(sheet)
    boxes = tuple(box for line in sheet.boxes for box in line)
    height, width = conditions.frame
    for _ in range(conditions.turn):
        boxes = tuple((y, width - x - w, h, w) for x, y, w, h in boxes)
        height, width = width, height
    picture = np.ascontiguousarray(np.rot90(picture, conditions.turn))
    return SimulatedPage(picture=picture, lines=tuple(texts), boxes=boxes, rotation=90 * conditions.turn)


def _write_lines(sheet: _Sheet, digits: np.ndarray, labels: np.ndarray) -> list[str]:
    """Write all lines; returns their texts. A table and boxes are ruled around the digits."""
    conditions, rng = sheet.conditions, sheet.rng
    rows, columns = conditions.frame
    height = conditions.height * min(conditions.frame)
    slope = math.tan(math.radians(rng.uniform(-conditions.slant, conditions.slant)))
    cells = conditions.paper in ("table", "boxes")
    pitch = height * (2.2 if cells else rng.uniform(1.5, 2.4))
    pitch = min(pitch, (rows - 0.4 * height) / (len(conditions.lines) + abs(slope) * 2))
    top = rng.uniform(0.3, 0.7) * (rows - pitch * len(conditions.lines)) + pitch / 2
    step = height * rng.uniform(1.5, 2.2)
    widest = max(conditions.lines) * (step if cells else height * (0.62 + conditions.gap[1]))
    left = max(0.3 * height, rng.uniform(0.2, 0.8) * (columns - widest))
    texts = []
    for number, count in enumerate(conditions.lines):
        x, y, text, boxes = left, top + number * pitch, "", []
        saved = sheet.ink.copy()
        for place in range(count):
            label, stroke = _digit(digits, labels, rng)
            tall = height * float(np.exp(rng.normal(0, conditions.height_spread)))
            wide = tall * min(stroke.box[2] / max(stroke.box[3], 1), 1.3)
            middle = left + (place + 0.5) * step if cells else x + wide / 2
            down = y + (middle - columns / 2) * slope + rng.normal(0, 0.03) * height
            box = sheet.write(stroke, (middle, down), tall)
            x += wide + rng.uniform(*conditions.gap) * height
            if box is None:
                text, boxes, sheet.ink = "", [], saved
                break
            text, boxes = text + str(label), [*boxes, box]
        if text:
            texts.append(text)
            sheet.boxes.append(boxes)
    if cells:
        _rule_cells(sheet, (left, top - pitch / 2), (step, pitch), slope)
    return texts


def _digit(digits: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> tuple[int, Stroke]:
    """One digit's label and stroke: MNIST's, or in a style that MNIST hardly shows."""
    row = int(rng.integers(len(labels)))
    label = int(labels[row])
    styles = _STYLES_OF[label]
    if styles and rng.random() < UNSEEN:
        return label, written(styles[rng.integers(len(styles))], rng)
    return label, stroke_of(digits[row])


def _rule_cells(sheet: _Sheet, corner: tuple[float, float], cell: tuple[float, float], slope: float) -> None:
    """Print a table's lines, or boxes apart from each other, around the cells that the lines' digits stand in."""
    conditions, rng = sheet.conditions, sheet.rng
    height = conditions.height * min(conditions.frame)
    pen = max(1, round(height * rng.uniform(0.02, 0.06)))
    inset = 0.0 if conditions.paper == "table" else rng.uniform(0.03, 0.1)
    middle = conditions.frame[1] / 2
    for row, count in enumerate(conditions.lines):
        for column in range(count):
            x0, x1 = corner[0] + (column + inset) * cell[0], corner[0] + (column + 1 - inset) * cell[0]
            y0, y1 = corner[1] + (row + inset) * cell[1], corner[1] + (row + 1 - inset) * cell[1]
            points = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
            points[:, 1] += (points[:, 0] - middle) * slope
            cv2.polylines(sheet.printed, [np.rint(points * 16).astype(np.int32)], True, 1.0, pen, cv2.LINE_AA, 4)
    sheet.printed *= np.float32(rng.uniform(0.4, 0.9))


_WORDS = ("Name", "Total", "Datum", "Page", "Kunde", "PLEASE", "Ref", "Amount", "March", "Thank you", "Werk", "Form")


def _print_words(sheet: _Sheet, count: int) -> None:
    """Printed words where no digit is."""
    rng, free = sheet.rng, sheet.ink < 0.05
    height = sheet.conditions.height * min(sheet.conditions.frame)
    for _ in range(6 * count):
        patch = _printed(_WORDS[rng.integers(len(_WORDS))], height * rng.uniform(0.35, 0.9))
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


def _printed(text: str, size: float) -> np.ndarray:
    """Printed text, its letters about `size` pixels high: float32 (h, w) in 0..1."""
    font = ImageFont.load_default(max(6, size))
    left, top, right, bottom = (math.floor(value) for value in font.getbbox(text))
    picture = Image.new("L", (right - left + 4, bottom - top + 4))
    ImageDraw.Draw(picture).text((2 - left, 2 - top), text, fill=255, font=font)
    return np.asarray(picture, np.float32) / 255


def page_without_digits(kind: str, rng: np.random.Generator) -> np.ndarray:
    """uint8 (H, W, 3): a photographed page of one of WITHOUT_DIGITS, in which nothing is to be read."""
    frame = tuple(int(side) for side in rng.integers(120, 500, 2))
    dark = bool(rng.random() < 0.2)
    sheet = _Sheet(conditions=replace(PLAIN, frame=frame, light_on_dark=dark, lines=()), rng=rng)
    _NOTHING[kind](sheet)
    return _photograph(sheet)


def _nothing_blank(sheet: _Sheet) -> None:
    """Paper alone."""


def _nothing_words(sheet: _Sheet) -> None:
    for _ in range(int(sheet.rng.integers(1, 6))):
        patch = _printed(_WORDS[sheet.rng.integers(len(_WORDS))], min(sheet.ink.shape) * sheet.rng.uniform(0.08, 0.3))
        rows, columns = sheet.ink.shape
        patch = patch[:rows, :columns]
        top, left = int(sheet.rng.uniform(0, rows - len(patch))), int(sheet.rng.uniform(0, columns - patch.shape[1]))
        target = sheet.printed[top : top + len(patch), left : left + patch.shape[1]]
        np.maximum(target, patch, out=target)


_LETTER_STROKES = {
    "A": (((0, 1), (0.5, 0), (1, 1)), ((0.2, 0.6), (0.8, 0.6))),
    "E": (((0.9, 0), (0, 0), (0, 1), (0.9, 1)), ((0, 0.5), (0.7, 0.5))),
    "F": (((0.9, 0), (0, 0), (0, 1)), ((0, 0.45), (0.7, 0.45))),
    "H": (((0, 0), (0, 1)), ((0.8, 0), (0.8, 1)), ((0, 0.5), (0.8, 0.5))),
    "K": (((0, 0), (0, 1)), ((0.8, 0), (0, 0.5), (0.85, 1))),
    "M": (((0, 1), (0.1, 0), (0.5, 0.7), (0.9, 0), (1, 1)),),
    "N": (((0, 1), (0, 0), (0.8, 1), (0.8, 0)),),
    "R": (((0, 1), (0, 0), (0.7, 0.1), (0.7, 0.4), (0, 0.5), (0.8, 1)),),
    "T": (((0, 0), (1, 0)), ((0.5, 0), (0.5, 1))),
    "W": (((0, 0), (0.25, 1), (0.5, 0.3), (0.75, 1), (1, 0)),),
    "X": (((0, 0), (0.9, 1)), ((0.9, 0), (0, 1))),
    "Y": (((0, 0), (0.45, 0.5), (0.9, 0)), ((0.45, 0.5), (0.4, 1))),
}


def _nothing_letters(sheet: _Sheet) -> None:
    """One to six capital letters by hand."""
    rng, (rows, columns) = sheet.rng, sheet.ink.shape
    count = int(rng.integers(1, 7))
    size = min(0.7 * rows, columns / (1.3 * count)) * rng.uniform(0.5, 0.9)
    left, top = rng.uniform(0.1, 0.3) * size, rng.uniform(0, 1) * (rows - size)
    pen = max(1, round(size * rng.uniform(0.04, 0.15)))
    for place in range(count):
        letter = list(_LETTER_STROKES)[rng.integers(len(_LETTER_STROKES))]
        for path in _LETTER_STROKES[letter]:
            points = (np.array(path) + rng.normal(0, 0.03, (len(path), 2))) * (0.75 * size, size)
            points += (left + place * 1.25 * size, top)
            cv2.polylines(sheet.ink, [np.rint(points * 16).astype(np.int32)], False, 0.9, pen, cv2.LINE_AA, 4)


def _nothing_shapes(sheet: _Sheet) -> None:
    """Rectangles, triangles, filled discs, arrows."""
    rng, (rows, columns) = sheet.rng, sheet.ink.shape
    picture = Image.new("L", (columns, rows))
    draw = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(1, 4))):
        x0, x1 = np.sort(rng.uniform(0.05, 0.95, 2) * columns)
        y0, y1 = np.sort(rng.uniform(0.05, 0.95, 2) * rows)
        pen = max(1, int(min(rows, columns) * rng.uniform(0.01, 0.05)))
        kind = rng.integers(4)
        if kind == 0:
            draw.rectangle((x0, y0, x1, y1), outline=240, width=pen)
        elif kind == 1:
            draw.line([(x0, y1), ((x0 + x1) / 2, y0), (x1, y1), (x0, y1)], fill=240, width=pen)
        elif kind == 2:
            draw.ellipse((x0, y0, x1, y1), fill=240)
        else:
            draw.line([(x0, y0), (x1, y1)], fill=240, width=pen)
            draw.line([(x1, y0 + 0.6 * (y1 - y0)), (x1, y1), (x0 + 0.6 * (x1 - x0), y1)], fill=240, width=pen)
    sheet.ink = np.asarray(picture, np.float32) / 255


def _nothing_texture(sheet: _Sheet) -> None:
    """Wood, cloth or leaves: waves that were bent by others."""
    rng, (rows, columns) = sheet.rng, sheet.ink.shape
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32) / min(rows, columns)
    value = np.zeros_like(sheet.ink)
    for _ in range(int(rng.integers(2, 7))):
        direction = rng.uniform(0, 2 * math.pi)
        wave = math.cos(direction) * x + math.sin(direction) * y + 0.2 * value
        value = value + np.sin(2 * math.pi * (rng.uniform(1, 25) * wave + rng.uniform())).astype(np.float32)
    sheet.ink = np.clip(0.5 + rng.uniform(0.1, 0.5) * value, 0, 1).astype(np.float32)


_NOTHING: dict[str, Callable[[_Sheet], None]] = {
    "blank": _nothing_blank,
    "words": _nothing_words,
    "letters": _nothing_letters,
    "shapes": _nothing_shapes,
    "texture": _nothing_texture,
}


def _photograph(sheet: _Sheet) -> np.ndarray:
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
    return cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB)


def _light(sheet: _Sheet) -> np.ndarray:
    """float32 (H, W): part of the light that reaches each place."""
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


def _rulings(sheet: _Sheet) -> np.ndarray:
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
