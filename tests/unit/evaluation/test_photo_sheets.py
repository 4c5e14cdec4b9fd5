"""Photos of filled sheets among labelled photos: known by their marks, whatever they are called."""

import numpy as np
import pytest

from digits.errors import PhotoFolderError, SheetError
from digits.evaluation.photo_sheets import find_labelled
from digits.images import decode_image, encode_png


@pytest.fixture(scope="module")
def sheet(sheet_file):
    return sheet_file("20261129_101112.jpg")


def test_one_photo_of_a_sheet_is_its_written_boxes_with_their_labels(sheet):
    found = find_labelled(sheet)
    assert [photo.label for photo in found.photos[:10]] == list(range(10)) and len(found.photos) == 48
    assert found.empty == ["20261129_101112.jpg, row 2, digit 7", "20261129_101112.jpg, row 5, digit 0"]
    one = found.photos[12]
    assert one.where == f"{sheet}, row 2, digit 2" and one.path == sheet
    assert decode_image(one.read()).shape[0] > 100


def test_in_a_folder_sheets_stand_beside_photos_of_one_digit_and_what_has_no_label_is_named(sheet, tmp_path):
    (tmp_path / "2026 my sheet.jpg").write_bytes(sheet.read_bytes())
    (tmp_path / "7_anna.png").write_bytes(encode_png(np.full((60, 60, 3), 200, np.uint8)))
    (tmp_path / "3 large.png").write_bytes(encode_png(np.full((900, 900, 3), 200, np.uint8)))
    (tmp_path / "wall.png").write_bytes(encode_png(np.full((900, 900, 3), 200, np.uint8)))
    (tmp_path / "4 broken.png").write_bytes(b"")
    found = find_labelled(tmp_path)
    alone = {photo.path.name: photo.label for photo in found.photos if not photo.box}
    assert alone == {"7_anna.png": 7, "3 large.png": 3, "4 broken.png": 4}
    assert len(found.photos) == 48 + 3 and len(found.empty) == 2
    assert [path.name for path in found.stray] == ["wall.png"]


def test_a_table_says_what_a_photo_shows_whatever_is_on_it(sheet, tmp_path):
    (tmp_path / "sheet.jpg").write_bytes(sheet.read_bytes())
    (tmp_path / "labels.csv").write_text("file,label\nsheet.jpg,5\n")
    assert [(photo.label, photo.box) for photo in find_labelled(tmp_path).photos] == [(5, "")]


def test_a_file_that_shows_no_sheet_is_refused_by_its_name(tmp_path):
    (tmp_path / "wall.png").write_bytes(encode_png(np.full((900, 900, 3), 200, np.uint8)))
    with pytest.raises(SheetError, match=r"wall\.png: the picture shows no sheet") as refused:
        find_labelled(tmp_path / "wall.png")
    assert "folder of labelled photos" in refused.value.remedy
    (tmp_path / "notes.jpg").write_bytes(b"text")
    with pytest.raises(PhotoFolderError, match=r"notes\.jpg cannot be read"):
        find_labelled(tmp_path / "notes.jpg")
    with pytest.raises(PhotoFolderError, match="no folder"):
        find_labelled(tmp_path / "nowhere")
