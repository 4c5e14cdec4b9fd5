"""report.html: which factor breaks which network, what each measure gives, and every photo with its answer.

One file with its pictures inside, for any browser, offline, on a phone, in light and dark. It states what
comparison and factors measured and works out nothing of its own but the largest loss of each factor.
"""

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

import cv2
import numpy as np

from digits.evaluation.comparison import Comparison, Gain, gains
from digits.evaluation.corruptions import FAMILIES
from digits.evaluation.factors import PATHS, FactorResult
from digits.evaluation.metrics import show_mean
from digits.images import encode_png
from digits.reporting.page_style import STYLE

THUMBNAIL = 132
"""Longer side of a photo in the table, in pixels."""
EXAMPLE = 96
"""Longer side of an example of a level, in pixels."""
MOST_PHOTOS = 400
"""Rows of the table of photos; errors come first, and what is left out is counted."""


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


def report_html(
    title: str,
    facts: Sequence[str],
    comparison: Comparison,
    pictures: Mapping[str, bytes],
    readings: Sequence[PhotoReading],
) -> bytes:
    """The report as one HTML file in UTF-8.

    `facts` are lines under the title: what was measured, with which seeds, machine and versions. `pictures` are those
    of factor_plots.comparison_pictures. `readings` are the photos of a folder as the judged network read them, in any
    order; without any, their table is left out.
    """
    sections = [
        _gains_section(comparison, pictures),
        _factors_section(comparison, pictures),
        _corruptions_section(comparison, pictures),
        _photos_section(readings) if readings else "",
    ]
    page = (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>"
        f"<h1>{escape(title)}</h1>"
        + "".join(f"<p class='fact'>{escape(fact)}</p>" for fact in facts)
        + "".join(sections)
        + "</main></body></html>\n"
    )
    return page.encode()


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


def _gains_section(comparison: Comparison, pictures: Mapping[str, bytes]) -> str:
    measured = gains(comparison)
    accuracies = [
        comparison.everyday,
        comparison.photos,
    ]
    overview = []
    for network in comparison.networks:
        row = [network.name, f"{network.parameters:,}", str(len(network.trainings))]
        row.append(percent(comparison.validation[network.name]))
        for accuracy in accuracies:
            row += [percent(accuracy[network.name, path]) if accuracy else "-" for path in PATHS]
        overview.append([*row, percent(comparison.corruptions[network.name].mean(axis=1))])
    head = ["network", "parameters", "trainings", "validation digits"]
    head += [f"{where}, {path}" for where in ("simulated", "real photos") for path in PATHS] + ["MNIST-C, mean"]
    return (
        "<section><h2>What does each measure give?</h2>"
        "<p>Why does a network that reads nearly every digit of MNIST fail on photos of handwriting? The article's "
        "answer is more filters and dropout. Below, each measure is taken by itself, everything else being equal.</p>"
        + _answer(measured)
        + _table(head, overview)
        + _picture(pictures, "paths-simulated")
        + _picture(pictures, "paths-photos")
        + _gain_tables(measured)
        + "<p class='note'>± is the standard deviation over trainings with different seeds. Resized: the whole photo "
        "shrunk to 28x28, as in the article. Prepared: paper and ink found, and the digit drawn as MNIST draws "
        "it.</p></section>"
    )


def _answer(measured: Sequence[Gain]) -> str:
    """One sentence for each kind of photo: what the measures give, the most helpful first."""
    sentences = []
    for on in dict.fromkeys(gain.on for gain in measured):
        by_measure: dict[str, list[float]] = {}
        for gain in measured:
            if gain.on == on:
                by_measure.setdefault(gain.measure, []).append(100 * gain.differences.mean())
        parts = [
            f"<b>{escape(measure)}</b> {_range(values)} points"
            for measure, values in sorted(by_measure.items(), key=lambda item: -max(item[1]))
        ]
        sentences.append(f"<p class='answer'>On {escape(on)}: {'; '.join(parts)}.</p>")
    return "".join(sentences)


def _range(values: Sequence[float]) -> str:
    low, high = (f"{value:+.1f}" for value in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"


def _gain_tables(measured: Sequence[Gain]) -> str:
    tables = []
    for on in dict.fromkeys(gain.on for gain in measured):
        rows = [[g.measure, g.before, g.after, points(g.differences)] for g in measured if g.on == on]
        table = _table(["measure", "from", "to", "points"], rows)
        tables.append(f"<details><summary>Every comparison on {escape(on)}</summary>{table}</details>")
    return "".join(tables)


def _factors_section(comparison: Comparison, pictures: Mapping[str, bytes]) -> str:
    swept = [result for result in comparison.factors.values() if len(result.factor.levels) > 1]
    if not swept:
        return ""
    keys = list(swept[0].accuracy)
    rows = []
    for result in swept:
        cells = [escape(result.factor.title)]
        for key in keys:
            loss, level = largest_loss(result, key)
            shade = f" style='--loss:{min(1.0, loss / 0.6):.2f}'"
            words = f"{100 * loss:.0f} at {escape(level.replace('_', ' '))}" if loss >= 0.005 else "none"
            cells.append(f"<span class='loss'{shade}>{words}</span>")
        rows.append(cells)
    head = ["factor", *(f"{network}, {path}" for network, path in keys)]
    return (
        "<section><h2>Which factor breaks which network?</h2>"
        "<p>One factor at a time, all others as in a plain good photo. The table gives the largest loss, in "
        "percentage points, between the best level of a factor and its worst, and where that is.</p>"
        + _table(head, rows, escaped=True)
        + "".join(_factor(result, pictures) for result in swept)
        + "</section>"
    )


def largest_loss(result: FactorResult, key: tuple[str, str]) -> tuple[float, str]:
    """Accuracy lost between the best and the worst level of a factor, 0..1, and the worst level in words."""
    mean = result.accuracy[key].mean(axis=0)
    worst = int(mean.argmin())
    return float(mean.max() - mean[worst]), result.factor.levels[worst]


def _factor(result: FactorResult, pictures: Mapping[str, bytes]) -> str:
    examples = "".join(
        f"<figure><img alt='' src='{_jpeg(photo, EXAMPLE)}'><figcaption>{escape(level.replace('_', ' '))}</figcaption>"
        "</figure>"
        for photo, level in zip(result.examples, result.factor.levels, strict=True)
    )
    picture = _picture(pictures, f"factor-{result.factor.name}")
    return f"<article>{picture}<div class='strip'>{examples}</div></article>"


def _corruptions_section(comparison: Comparison, pictures: Mapping[str, bytes]) -> str:
    names = [network.name for network in comparison.networks]
    rows = [
        [family.replace("_", " "), *(percent(comparison.corruptions[name][:, index]) for name in names)]
        for index, family in enumerate(FAMILIES)
    ]
    rows.append(["mean of all", *(percent(comparison.corruptions[name].mean(axis=1)) for name in names)])
    picture = _picture(pictures, "corruptions")
    return (
        "<section><h2>Corrupted digits</h2><p>The fifteen families of MNIST-C (Mu and Gilmer, 2019) at their released "
        f"severities. No network saw them in training.</p>{picture}{_table(['family', *names], rows)}</section>"
    )


def _photos_section(readings: Sequence[PhotoReading]) -> str:
    ordered = sorted(readings, key=lambda one: (one.right, -one.confidence if not one.right else one.confidence))
    shown = ordered[:MOST_PHOTOS]
    wrong = sum(not reading.right for reading in readings)
    rest = f" The {len(ordered) - len(shown):,} surest right answers are left out." if len(ordered) > len(shown) else ""
    rows = [
        [
            f"<img class='photo' loading='lazy' alt='photo' src='{_jpeg(reading.photo, THUMBNAIL)}'>",
            f"<img class='seen' loading='lazy' alt='28x28' src='{_url(encode_png(reading.seen), 'png')}'>",
            str(reading.label),
            f"<b class='{'right' if reading.right else 'wrong'}'>{_answer_of(reading)}</b>",
            f"{100 * reading.confidence:.1f} %",
            f"<span class='name'>{escape(reading.name)}</span>",
        ]
        for reading in shown
    ]
    head = ["photo", "what the network saw", "digit", "answer", "confidence", "file"]
    return (
        f"<section><h2>Photo by photo</h2><p>{wrong:,} wrong of {len(readings):,}. Errors first, the most confident "
        f"ones on top; then the right answers, the least confident on top.{rest}</p>"
        + _table(head, rows, escaped=True)
        + "</section>"
    )


def _answer_of(reading: PhotoReading) -> str:
    return "no digit found" if reading.answer is None else str(reading.answer)


def _table(head: Iterable[str], rows: Iterable[Sequence[str]], *, escaped: bool = False) -> str:
    """A table that scrolls sideways on a narrow screen; `escaped` cells are HTML already."""
    titles = "".join(f"<th scope='col'>{escape(title)}</th>" for title in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{cell if escaped else escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<div class='wide'><table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table></div>"


def _picture(pictures: Mapping[str, bytes], name: str) -> str:
    """One of the pictures by its name; nothing where it was not drawn."""
    if name not in pictures:
        return ""
    return f"<img class='plot' loading='lazy' alt='{escape(name)}' src='{_url(pictures[name], 'png')}'>"


def _jpeg(photo: np.ndarray, longer_side: int) -> str:
    """uint8 (H, W, 3) as the data URL of a small JPEG."""
    small = cv2.cvtColor(thumbnail(photo, longer_side), cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".jpg", small, (cv2.IMWRITE_JPEG_QUALITY, 80))
    return _url(encoded.tobytes(), "jpeg")


def _url(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
