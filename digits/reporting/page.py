"""report.html: which factor breaks which network, what each measure gives, and every photo with its answer.

One file with its pictures inside, for any browser, offline, on a phone, in light and dark. It states what comparison
and factors measured; the largest loss of each factor is all that it computes itself.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from digits.evaluation.comparison import Comparison, Gain, gains
from digits.evaluation.corruptions import FAMILIES
from digits.evaluation.factors import PATHS, FactorResult
from digits.evaluation.metrics import show_mean
from digits.images import encode_png

THUMBNAIL = 132
"""Longer side of a photo in the table, in pixels."""
EXAMPLE = 96
"""Longer side of an example of a level, in pixels."""
DARKEST_LOSS = 0.6
"""Loss of accuracy, 0..1, beyond which the table's colour gets no darker."""
PAGE_SIDE = 480
"""Longer side of a page, in pixels."""
MOST_PHOTOS = 400
"""Rows of the table of photos, at most; errors come first, and the report says how many photos are left out."""


@dataclass(frozen=True, kw_only=True)
class PhotoReading:
    """One photo, what the network saw of it, and what it answered."""

    name: str
    photo: np.ndarray
    """uint8 (H, W, 3), the photo or its thumbnail."""
    seen: np.ndarray
    """uint8 (28, 28), or (28, 28, 3) in colour: what the network saw."""
    label: int
    answer: int | None
    """None where preparation found no digit."""
    confidence: float
    """Probability of the answer, 0..1; 0 where there is none."""

    @property
    def right(self) -> bool:
        return self.answer == self.label


@dataclass(frozen=True, kw_only=True)
class PageShown:
    """A picture of several digits, and what was read of it."""

    name: str
    photo: np.ndarray
    """uint8 (H, W, 3), reduced."""
    boxes: tuple[tuple[float, float, float, float], ...]
    """Left, top, width and height of each digit that was read, as fractions of the photo's width and height."""
    digits: tuple[int, ...]
    lines: tuple[str, ...]
    """Digits of each line that was read; none where the page was refused."""
    truth: tuple[str, ...]
    errors: int
    """Edit distance between what was read and what is written."""


def report_html(
    title: str,
    facts: Sequence[str],
    comparison: Comparison,
    pictures: Mapping[str, bytes],
    readings: Sequence[PhotoReading],
    pages: Sequence[PageShown] = (),
) -> bytes:
    """The report as one HTML file in UTF-8.

    `facts` are lines under the title: what was measured, with which seeds, machine and versions. `pictures` are those
    of factor_figures.comparison_pictures. `readings` are the photos of a folder as the judged network read them, in any
    order, and `pages` the pictures of several digits; without them their tables are left out.
    """
    return (
        TEMPLATES.get_template("page.html")
        .render(
            title=title,
            facts=facts,
            pictures={name: url(png, "png") for name, png in pictures.items()},
            measures=measures_of(gains(comparison)),
            overview=overview_of(comparison),
            factors=[factor_of(result) for result in comparison.factors.values() if len(result.factor.levels) > 1],
            corruptions=corruptions_of(comparison),
            photos=photos_of(readings),
            pages=sorted(pages, key=lambda page: -page.errors),
        )
        .encode()
    )


def thumbnail(photo: np.ndarray, longer_side: int = THUMBNAIL) -> np.ndarray:
    """uint8 (H, W, 3), reduced to a longer side in pixels unless it is small already."""
    scale = min(1.0, longer_side / max(photo.shape[:2]))
    size = [max(1, round(side * scale)) for side in photo.shape[1::-1]]
    return cv2.resize(photo, size, interpolation=cv2.INTER_AREA)


def percent(values: np.ndarray) -> str:
    """float (S,) in 0..1 as its mean in percent, with the standard deviation where there are several trainings."""
    return f"{show_mean(100 * values, '.1f')} %"


def points(differences: np.ndarray) -> str:
    """float (S,) as its mean in percentage points with its sign, and the standard deviation as in `percent`."""
    return show_mean(100 * differences, "+.1f")


def overview_of(comparison: Comparison) -> dict[str, Any]:
    """Head and rows of the table of networks: a row for each, with its accuracy on everything."""
    rows = []
    for network in comparison.networks:
        row = [network.name, f"{network.parameters:,}", str(len(network.trainings))]
        row.append(percent(comparison.validation[network.name]))
        for accuracy in (comparison.everyday, comparison.photos):
            row += [percent(accuracy[network.name, path]) if accuracy else "-" for path in PATHS]
        rows.append([*row, percent(comparison.corruptions[network.name].mean(axis=1))])
    head = ["network", "parameters", "trainings", "validation digits"]
    head += [f"{where}, {path}" for where in ("simulated", "real photos") for path in PATHS] + ["MNIST-C, mean"]
    return {"head": head, "rows": rows}


def measures_of(measured: Sequence[Gain]) -> list[dict[str, Any]]:
    """For each kind of photo, what each measure gives in points, the most helpful first, and every comparison."""
    places = []
    for on in dict.fromkeys(gain.on for gain in measured):
        here = [gain for gain in measured if gain.on == on]
        by_measure: dict[str, list[float]] = {}
        for gain in here:
            by_measure.setdefault(gain.measure, []).append(100 * gain.differences.mean())
        ordered = sorted(by_measure.items(), key=lambda item: -max(item[1]))
        places.append(
            {
                "on": on,
                "by_measure": {measure: range_of(values) for measure, values in ordered},
                "gains": [[gain.measure, gain.before, gain.after, points(gain.differences)] for gain in here],
            }
        )
    return places


def range_of(values: Sequence[float]) -> str:
    """The least and the largest of some numbers of points, with their signs."""
    low, high = (f"{value:+.1f}" for value in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"


def factor_of(result: FactorResult) -> dict[str, Any]:
    """A factor's row in the table of losses, and its examples by level."""
    losses = {}
    for key in result.accuracy:
        loss, level = largest_loss(result, key)
        words = f"{100 * loss:.0f} at {plain(level)}" if loss >= 0.005 else "none"
        losses[key] = {"shade": min(1.0, loss / DARKEST_LOSS), "words": words}
    photos = (jpeg(photo, EXAMPLE) for photo in result.examples)
    return {
        "name": result.factor.name,
        "title": result.factor.title,
        "losses": losses,
        "examples": dict(zip(map(plain, result.factor.levels), photos, strict=True)),
    }


def largest_loss(result: FactorResult, key: tuple[str, str]) -> tuple[float, str]:
    """Accuracy lost between the best and the worst level of a factor, 0..1, and the worst level in words."""
    mean = result.accuracy[key].mean(axis=0)
    worst = int(mean.argmin())
    return float(mean.max() - mean[worst]), result.factor.levels[worst]


def corruptions_of(comparison: Comparison) -> dict[str, Any]:
    """Head and rows of the table of corruptions: a row for each family, and one for their mean."""
    names = [network.name for network in comparison.networks]
    rows = [
        [plain(family), *(percent(comparison.corruptions[name][:, index]) for name in names)]
        for index, family in enumerate(FAMILIES)
    ]
    rows.append(["mean of all", *(percent(comparison.corruptions[name].mean(axis=1)) for name in names)])
    return {"head": ["family", *names], "rows": rows}


def photos_of(readings: Sequence[PhotoReading]) -> dict[str, Any]:
    """The photos that are shown, in order, and how many there are in all, wrong and left out."""
    ordered = sorted(readings, key=lambda one: (one.right, -one.confidence if not one.right else one.confidence))
    shown = ordered[:MOST_PHOTOS]
    return {
        "shown": shown,
        "total": len(ordered),
        "left_out": len(ordered) - len(shown),
        "wrong": sum(not reading.right for reading in readings),
    }


def plain(name: str) -> str:
    """The name of a family or level as words."""
    return name.replace("_", " ")


def boxes_of(page: PageShown) -> list[dict[str, float]]:
    """Where a page's boxes and digits are drawn, in pixels of its photo."""
    height, width = page.photo.shape[:2]
    return [
        {"x": left * width, "y": top * height, "width": wide * width, "height": high * height, "digit": digit}
        for (left, top, wide, high), digit in zip(page.boxes, page.digits, strict=True)
    ]


def jpeg(photo: np.ndarray, longer_side: int = THUMBNAIL) -> str:
    """uint8 (H, W, 3) as the data URL of a small JPEG."""
    small = cv2.cvtColor(thumbnail(photo, longer_side), cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".jpg", small, (cv2.IMWRITE_JPEG_QUALITY, 80))
    return url(encoded.tobytes(), "jpeg")


def url(data: bytes, kind: str) -> str:
    """A picture as a data URL."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


TEMPLATES = Environment(
    loader=PackageLoader("digits.reporting"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.filters |= {"boxes": boxes_of, "jpeg": jpeg, "png": lambda image: url(encode_png(image), "png")}
