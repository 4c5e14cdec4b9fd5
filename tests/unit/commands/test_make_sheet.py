"""jobs/make_sheet.py, and what other jobs make of a photo of its sheet."""

import numpy as np
import pytest
from PIL import Image

from digits.commands.evaluation import EvaluateSettings, evaluate_checkpoint
from digits.commands.seen_photos import labelled_at, read_photos
from digits.commands.shards.making import MakeShardsSettings, find_sources, make_shards
from digits.commands.shards.sheet import MakeSheetSettings, make_sheet
from digits.data.files import find_digits
from digits.errors import ConfigurationError, SheetError
from digits.evaluation.metrics import NO_ANSWER
from digits.reading.networks import shipped
from digits.service.api import STATIC


@pytest.fixture(scope="module")
def sheet(sheet_file):
    return sheet_file("my sheet.jpg")


def test_it_writes_the_sheet_and_at_wish_a_photo_that_can_be_read(tmp_path):
    settings = MakeSheetSettings(
        output=tmp_path / "s.pdf", paper="letter", simulated_photo=tmp_path / "photo_of_sheet.jpg"
    )
    assert make_sheet(settings)["paper"] == "letter"
    assert (tmp_path / "s.pdf").read_bytes() == (STATIC / "sheet-letter.pdf").read_bytes()
    assert len(labelled_at(tmp_path / "photo_of_sheet.jpg")) == 50
    make_sheet(settings)  # the same again harms nothing


def test_it_takes_nobodys_file_away(tmp_path):
    (tmp_path / "mine.pdf").write_bytes(b"mine")
    with pytest.raises(ConfigurationError, match=r"there is a file .*mine\.pdf already"):
        make_sheet(MakeSheetSettings(output=tmp_path / "mine.pdf"))
    with pytest.raises(ConfigurationError, match="there is no folder"):
        make_sheet(MakeSheetSettings(output=tmp_path / "nowhere" / "s.pdf"))
    assert (tmp_path / "mine.pdf").read_bytes() == b"mine"


def test_a_sheet_becomes_shards_with_the_labels_of_its_columns(sheet, tmp_path, monkeypatch, capsys):
    from digits.commands.shards import making, pictures

    monkeypatch.setattr(making.cluster, "connect", lambda: None)
    monkeypatch.setattr(
        pictures, "prepared_on_ray", lambda every, places: (pictures.prepare_one(every[place]) for place in places)
    )
    document = make_shards(MakeShardsSettings(sources=(str(sheet),), output=tmp_path / "out"))
    assert document["digits"] + document["refused"] == 48 and document["refused"] <= 1
    (labels,) = find_digits(str(tmp_path / "out")).labels
    assert np.abs(np.bincount(labels, minlength=10) - 5).max() <= 1 and len(labels) == document["digits"]
    shown = capsys.readouterr().out
    assert "left out, empty boxes: my sheet.jpg, row 2, digit 7; my sheet.jpg, row 5, digit 0" in shown


def test_a_picture_of_one_digit_is_no_source_and_a_sheet_may_lie_in_a_folder(sheet, tmp_path):
    assert len(find_sources((str(sheet.parent),))[1]) == 48
    Image.new("RGB", (1000, 1000), "white").save(tmp_path / "seven.png")
    with pytest.raises(SheetError, match="shows no sheet"):
        find_sources((str(tmp_path / "seven.png"),))


def test_photos_in_boxes_are_named_by_their_place_and_none_is_refused(sheet):
    seen = read_photos(sheet.parent, labelled_at(sheet), shipped().reader)
    assert seen.names[0] == "my sheet.jpg, row 1, digit 0" and len(seen.names) == 48
    _, predictions = seen.predictions(shipped().classifier, resize=False)
    assert NO_ANSWER not in predictions.answers and predictions.accuracy >= 0.97


def test_evaluation_scores_a_photo_of_a_sheet(sheet, tmp_path, monkeypatch):
    from digits.commands import evaluation

    digits = np.zeros((4, 28, 28), np.uint8), np.zeros(4, np.int64)
    monkeypatch.setattr(evaluation, "read_validation_digits", lambda checkpoint, path: (digits, {}))
    settings = EvaluateSettings(photos=sheet, report=False, storage_path=str(tmp_path / "runs"))
    document = evaluate_checkpoint(settings)
    assert document["photos"]["images"] == 48 and document["photos"]["accuracy"] >= 0.97
