"""The report is one file that opens offline, and puts the errors first."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from digits.evaluation.comparison import ComparedNetwork, Comparison
from digits.evaluation.corruptions import FAMILIES
from digits.evaluation.factors import FACTORS, FactorResult
from digits.reporting.page import PageShown, PhotoReading, largest_loss, percent, points, report_html

VOID = {"meta", "img", "source", "br"}


class Reader(HTMLParser):
    """Collects text and picture addresses, and checks that every tag is closed in order."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.open: list[str] = []
        self.pictures: list[str] = []
        self.text = ""
        self.feed(page.decode("utf-8"))
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        if tag not in VOID:
            self.open.append(tag)
        if tag == "img":
            self.pictures.append(dict(attributes)["src"])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text += data + " "


@pytest.fixture
def comparison() -> Comparison:
    """Made-up results of one network, trained twice."""
    keys = [("small & <quick>", "resized"), ("small & <quick>", "prepared")]
    size = FACTORS["size"]
    accuracy = {key: np.full((2, len(size.levels)), 0.9) for key in keys}
    accuracy[keys[0]][:, 0] = 0.2
    everyday = {keys[0]: np.array([[0.3], [0.4]]), keys[1]: np.array([[0.9], [0.92]])}
    photo = np.full((40, 30, 3), 180, np.uint8)
    return Comparison(
        networks=(
            ComparedNetwork(
                name="small & <quick>", architecture="baseline", distorted=False, parameters=8922, trainings=(len, len)
            ),
        ),
        validation={"small & <quick>": np.array([0.97, 0.98])},
        corruptions={"small & <quick>": np.full((2, len(FAMILIES)), 0.8)},
        factors={
            "everyday": FactorResult(factor=FACTORS["everyday"], accuracy=everyday, examples=[photo]),
            "size": FactorResult(factor=size, accuracy=accuracy, examples=[photo] * len(size.levels)),
        },
        photos=None,
    )


def reading(name: str, label: int, answer: int | None, confidence: float) -> PhotoReading:
    return PhotoReading(
        name=name,
        photo=np.full((300, 200, 3), 200, np.uint8),
        seen=np.zeros((28, 28), np.uint8),
        label=label,
        answer=answer,
        confidence=confidence,
    )


def test_the_report_is_well_formed_and_asks_the_network_for_nothing(comparison):
    page = report_html("A <title>", ["seeds 0 1"], comparison, {"factor-size": b"png"}, [reading("a.png", 1, 1, 0.9)])
    reader = Reader(page)
    assert all(address.startswith("data:image/") for address in reader.pictures) and len(reader.pictures) >= 3
    assert not re.search(rb"https?://|<script|<link", page)
    assert "A <title>" in reader.text and "small & <quick>" in reader.text and "seeds 0 1" in reader.text


def test_the_report_fits_phones_and_dark_pages(comparison):
    page = report_html("Report", [], comparison, {}, [])
    assert b"width=device-width" in page and b"prefers-color-scheme: dark" in page


def test_it_says_what_each_measure_gives_and_where_each_factor_breaks(comparison):
    text = Reader(report_html("Report", [], comparison, {}, [])).text
    assert "finding paper and ink" in text and "+56.0" in text
    assert "70 at 8 %" in text
    assert "97.5 ± 0.7 %" in text
    assert "Photo by photo" not in text


def test_errors_come_first_the_surest_on_top_then_the_least_sure_right_answers(comparison):
    readings = [
        reading("right-sure.png", 1, 1, 0.99),
        reading("wrong-unsure.png", 2, 7, 0.4),
        reading("right-unsure.png", 3, 3, 0.5),
        reading("wrong-sure.png", 4, 9, 0.95),
        reading("unread.png", 5, None, 0.0),
    ]
    text = Reader(report_html("Report", [], comparison, {}, readings)).text
    order = re.findall(r"([\w-]+)\.png", text)
    assert order == ["wrong-sure", "wrong-unsure", "unread", "right-unsure", "right-sure"]
    assert "3 wrong of 5" in text and "no digit found" in text


def test_the_largest_loss_names_the_worst_level(comparison):
    loss, level = largest_loss(comparison.factors["size"], ("small & <quick>", "resized"))
    assert loss == pytest.approx(0.7) and level == "8 %"


def test_figures_carry_their_spread_only_where_there_is_one():
    assert percent(np.array([0.5])) == "50.0 %"
    assert percent(np.array([0.5, 0.6])) == "55.0 ± 7.1 %"
    assert points(np.array([-0.02])) == "-2.0"
    assert points(np.array([0.1, 0.1])) == "+10.0 ± 0.0"


def test_pages_show_their_boxes_and_those_with_errors_come_first(comparison):
    def page(name, read, truth, errors):
        boxes = tuple((0.1 + 0.2 * place, 0.2, 0.1, 0.5) for place in range(len(read)))
        return PageShown(
            name=name,
            photo=np.full((60, 200, 3), 230, np.uint8),
            boxes=boxes,
            digits=tuple(map(int, read)),
            lines=(read,) if read else (),
            truth=(truth,),
            errors=errors,
        )

    pages = [page("right.png", "123", "123", 0), page("refused.png", "", "45", 2), page("<wrong>.png", "18", "17", 1)]
    report = report_html("Report", [], comparison, {}, [], pages)
    text = Reader(report).text
    assert re.findall(r"([<>\w]+)\.png", text) == ["refused", "<wrong>", "right"]
    assert "2 of 3 pages have errors" in text
    assert "nothing was read" in text and "1 error" in text and "written: 17" in text and "read: 18" in text
    assert report.count(b"<rect ") == 5
    assert re.findall(rb'<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)"', report)[0] == (
        *(b"20.0", b"12.0", b"20.0", b"30.0"),
    )
    assert b"<image " in report and not re.search(rb"https?://", report)
    assert "Page by page" not in Reader(report_html("Report", [], comparison, {}, [])).text
