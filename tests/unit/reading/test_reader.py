"""The shipped reader: it reads simulated pages as its record says, whichever way they are moved, scaled or turned."""

import hashlib
import json
import shutil
import time

import cv2
import numpy as np
import pytest
from PIL import Image

from digits.errors import CheckpointError, ConfigurationError, NotADigit, UnreadableImage
from digits.evaluation.pages.score import PageScore
from digits.evaluation.pages.simulated import CONDITIONS, PLAIN, simulated_page
from digits.evaluation.pages.without_digits import WITHOUT_DIGITS, page_without_digits
from digits.images import encode_png
from digits.models.registry import SHIPPED
from digits.reading.__main__ import main
from digits.reading.merge import MOST_FOUND, Found
from digits.reading.networks import read
from digits.reading.reader import MOST_DIGITS, NETWORK, READER, RECORD, Reader


@pytest.fixture(scope="module")
def plain_pages(digits):
    return [simulated_page(*digits, np.random.default_rng((77, n)), PLAIN) for n in range(6)]


def lines_of(reader, picture):
    try:
        return reader.read(picture).text.replace(" ", "").splitlines()
    except NotADigit:
        return []


def test_the_record_says_how_it_was_made_and_its_files_are_whole(reader):
    record = json.loads((SHIPPED / READER / RECORD).read_bytes())
    assert record["sha256"][NETWORK] == hashlib.sha256((SHIPPED / READER / NETWORK).read_bytes()).hexdigest()
    assert {"name", "architecture", "training", "fingerprint", "thresholds", "simulated_pages", "versions"} <= set(
        record
    )
    assert set(record["simulated_pages"]["by_condition"]) == set(CONDITIONS)
    assert sum(path.stat().st_size for path in (SHIPPED / READER).iterdir()) < 3_000_000


def test_pages_are_read_as_well_as_the_record_says(reader, digits):
    read_lines, truth = [], []
    for place, conditions in enumerate(CONDITIONS.values()):
        page = simulated_page(*digits, np.random.default_rng((78, place)), conditions)
        read_lines.append(lines_of(reader, page.picture))
        truth.append(page.lines)
    rates = [PageScore.of([a], [b]).character_error_rate for a, b in zip(read_lines, truth, strict=True)]
    recorded = reader.record["simulated_pages"]["character_error_rate"]
    assert np.mean(np.minimum(rates, 1)) < recorded + 0.06


def test_pages_without_digits_are_refused_as_often_as_the_record_says(reader):
    pictures = [page_without_digits(kind, np.random.default_rng((79, n))) for n in range(3) for kind in WITHOUT_DIGITS]
    answered = np.mean([bool(lines_of(reader, picture)) for picture in pictures])
    assert answered <= reader.record["simulated_pages"]["answered_without_digits"] + 0.2


def test_boxes_lie_on_the_digits(reader, plain_pages):
    near = total = 0
    for page in plain_pages:
        for one in reader.read(page.picture).digits:
            left, top, width, height = one.box
            middles = [(x + w / 2, y + h / 2) for x, y, w, h in page.boxes]
            gap = min(np.hypot(left + width / 2 - x, top + height / 2 - y) for x, y in middles)
            near, total = near + (gap < 0.25 * height), total + 1
            assert one.probabilities.sum() == pytest.approx(1, abs=1e-4) and 0 <= one.confidence <= 1
    assert near > 0.95 * total and total > 80


@pytest.mark.parametrize("change", ["moved", "halved", "doubled", "inverted", "turned", "bytes", "grey"])
def test_what_does_not_change_a_page_does_not_change_its_text(reader, plain_pages, change):
    errors = digits = 0
    for page in plain_pages[:4]:
        picture = page.picture
        changed = {
            "moved": lambda p: cv2.copyMakeBorder(p, 37, 0, 21, 0, cv2.BORDER_REFLECT),
            "halved": lambda p: cv2.resize(p, (p.shape[1] // 2, p.shape[0] // 2), interpolation=cv2.INTER_AREA),
            "doubled": lambda p: cv2.resize(p, (2 * p.shape[1], 2 * p.shape[0]), interpolation=cv2.INTER_LINEAR),
            "inverted": lambda p: 255 - p,
            "turned": lambda p: np.ascontiguousarray(np.rot90(p)),
            "bytes": encode_png,
            "grey": lambda p: cv2.cvtColor(p, cv2.COLOR_RGB2GRAY),
        }[change](picture)
        before, after = lines_of(reader, picture), lines_of(reader, changed)
        score = PageScore.of([after], [before])
        errors, digits = errors + score.edit_distance, digits + score.digits
    assert digits > 50 and errors <= 0.05 * digits


def test_a_turned_page_says_so_and_has_boxes_where_its_digits_are(reader, digits):
    for turn in (1, 2, 3):
        conditions = PLAIN.__class__(**{**vars(PLAIN), "turn": turn, "lines": (7, 7, 7)})
        page = simulated_page(*digits, np.random.default_rng((80, turn)), conditions)
        reading = reader.read(page.picture)
        assert reading.rotation == page.rotation
        first = reading.digits[0].box
        truth = page.boxes[0]
        for axis in (0, 1):
            middle, expected = first[axis] + first[axis + 2] / 2, truth[axis] + truth[axis + 2] / 2
            assert middle == pytest.approx(expected, abs=0.5 * max(truth[2:]))


def test_a_single_digit_is_never_turned(reader, digits):
    for seed in range(6):
        page = simulated_page(*digits, np.random.default_rng((81, seed)), CONDITIONS["one digit"])
        for turn in range(4):
            try:
                assert reader.read(np.ascontiguousarray(np.rot90(page.picture, turn))).rotation == 0 or (
                    len(reader.read(np.ascontiguousarray(np.rot90(page.picture, turn))).digits) > 1
                )
            except NotADigit:
                continue


def crowd(number, confidence=0.9):
    """So many digits on a page of 4000 x 4000 pixels."""
    probabilities = np.eye(10, dtype=np.float32)[3]
    return [
        Found(
            x=20 + 40 * (n % 90),
            y=20 + 40 * (n // 90),
            width=12,
            height=20,
            confidence=confidence,
            probabilities=probabilities,
        )
        for n in range(number)
    ]


def test_as_many_digits_as_are_read_are_read_and_one_more_is_refused_with_its_reason(reader, monkeypatch):
    assert (MOST_DIGITS, MOST_FOUND) == (1000, 4000)
    picture = np.tile(np.uint8([[0, 255]]), (4000, 2000))
    monkeypatch.setattr(reader, "find", lambda grey: (crowd(MOST_DIGITS), 0))
    assert len(reader.read(picture).digits) == MOST_DIGITS
    monkeypatch.setattr(reader, "find", lambda grey: (crowd(MOST_DIGITS + 1), 0))
    with pytest.raises(NotADigit, match="more than 1,000 digits") as refused:
        reader.read(picture)
    assert refused.value.reason == "too_many" and "send it in parts" in str(refused.value)


def test_where_not_all_that_may_be_digits_were_looked_at_nothing_is_answered(reader, monkeypatch):
    picture = np.tile(np.uint8([[0, 255]]), (4000, 2000))
    for weak, reason in ((MOST_FOUND - 6, None), (MOST_FOUND - 5, "too_many")):
        monkeypatch.setattr(reader, "find", lambda grey, weak=weak: (crowd(5) + crowd(weak, 0.1), 0))
        if reason is None:
            assert len(reader.read(picture).digits) == 5
        else:
            with pytest.raises(NotADigit) as refused:
                reader.read(picture)
            assert refused.value.reason == reason
    monkeypatch.setattr(reader, "find", lambda grey: (crowd(MOST_FOUND, 0.1), 0))
    with pytest.raises(NotADigit) as refused:
        reader.read(picture)
    assert refused.value.reason == "unlike"


def test_a_page_of_thousands_of_digits_is_refused_soon(digits):
    """Processor time: it took ten seconds, and memory that grew with the square of the digits."""
    small = [cv2.resize(image, (14, 14), interpolation=cv2.INTER_AREA) for image in digits[0][:5000]]
    rows = [np.concatenate(small[start : start + 71], axis=1) for start in range(0, 71 * 70, 71)]
    picture = 255 - np.concatenate(rows)
    read(digits[0][0])  # the networks are loaded
    started = time.process_time()
    for form in (picture, encode_png(picture), Image.fromarray(picture)):
        with pytest.raises(NotADigit) as refused:
            read(form)
        assert refused.value.reason == "too_many"
    assert (time.process_time() - started) / 3 < 5


@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (900, 1), (2, 3, 3), (28, 28), (31, 33, 3), (700, 40, 3)])
def test_no_array_crashes_it(reader, shape):
    rng = np.random.default_rng(0)
    for picture in (
        rng.integers(0, 256, shape).astype(np.uint8),
        np.zeros(shape, np.uint8),
        np.full(shape, 255, np.uint8),
    ):
        try:
            reading = reader.read(picture)
        except NotADigit as refusal:
            assert refusal.reason in ("blank", "unlike") and "what to do" in str(refusal)
        else:
            assert reading.digits


@pytest.mark.parametrize(
    "wrong", [np.zeros((4, 4)), np.zeros((2, 2, 4), np.uint8), np.zeros((0, 3), np.uint8), "a.png"]
)
def test_what_is_no_picture_is_refused_in_three_parts(reader, wrong):
    with pytest.raises(ConfigurationError, match="expected: uint8"):
        reader.read(wrong)
    with pytest.raises(UnreadableImage):
        read(b"no picture")


def test_a_damaged_reader_is_refused(tmp_path):
    shutil.copytree(SHIPPED / READER, tmp_path / "reader")
    with (tmp_path / "reader" / NETWORK).open("ab") as network:
        network.write(b"!")
    with pytest.raises(CheckpointError, match="is damaged"):
        Reader.load(tmp_path / "reader")
    (tmp_path / "reader" / RECORD).write_text('{"format": 99}')
    with pytest.raises(CheckpointError, match="another format"):
        Reader.load(tmp_path / "reader")
    with pytest.raises(CheckpointError, match="cannot be read"):
        Reader.load(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"thresholds": None}, "no usable thresholds"),
        ({"thresholds": {"unheard": 1}}, "no usable thresholds"),
        ({"simulated_pages": None}, "is incomplete"),
        ({"simulated_pages": "good"}, "is incomplete"),
        ({"name": 7}, "is incomplete"),
        ({"sha256": "of nothing"}, "is damaged"),
    ],
)
def test_a_record_that_lacks_something_is_refused(tmp_path, change, told):
    shutil.copytree(SHIPPED / READER, tmp_path / "reader")
    file = tmp_path / "reader" / RECORD
    record = {**json.loads(file.read_text()), **change}
    file.write_text(json.dumps({key: value for key, value in record.items() if value is not None}))
    with pytest.raises(CheckpointError, match=told):
        Reader.load(tmp_path / "reader")


def test_a_file_that_holds_no_network_is_refused_though_its_hash_is_right(tmp_path):
    shutil.copytree(SHIPPED / READER, tmp_path / "reader")
    (tmp_path / "reader" / NETWORK).write_bytes(b"no network")
    file = tmp_path / "reader" / RECORD
    file.write_text(
        json.dumps({**json.loads(file.read_text()), "sha256": {NETWORK: hashlib.sha256(b"no network").hexdigest()}})
    )
    with pytest.raises(CheckpointError, match="cannot be run"):
        Reader.load(tmp_path / "reader")


def test_the_command_line_prints_a_line_for_each_file(tmp_path, plain_pages, capsys):
    (tmp_path / "page.png").write_bytes(encode_png(plain_pages[0].picture))
    (tmp_path / "blank.png").write_bytes(encode_png(np.full((60, 60), 250, np.uint8)))
    (tmp_path / "text.txt").write_text("no picture")
    assert main([str(tmp_path / "page.png"), str(tmp_path / "blank.png")]) == 0
    page, blank = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert page["digits"][0].keys() == {"digit", "confidence", "box", "probabilities", "line", "number"}
    assert "".join(str(one["digit"]) for one in page["digits"]) == page["text"].replace(" ", "").replace("\n", "")
    assert blank["error"] == "not_a_digit" and blank["reason"] == "blank"
    assert main([str(tmp_path / "text.txt")]) == 1 and "what to do" in capsys.readouterr().err
    assert main([]) == 2
