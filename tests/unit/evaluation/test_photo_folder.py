"""Labelled photos: three ways to label, and a clear error for anything else."""

import numpy as np
import pytest

from digits.errors import PhotoFolderError
from digits.evaluation.photo_folder import find_photos
from digits.images import encode_png


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def labels_of(folder):
    return {str(photo.path.relative_to(folder)): photo.label for photo in find_photos(folder)[0]}


def test_a_table_gives_the_labels(tmp_path):
    touch(tmp_path, "a/one.png", "b.jpg", "unlisted.png")
    (tmp_path / "labels.csv").write_text("file,label,writer\na/one.png,1,x\nb.jpg,7,y\n")
    assert labels_of(tmp_path) == {"a/one.png": 1, "b.jpg": 7}


@pytest.mark.parametrize(
    ("encoding", "table"),
    [("utf-8-sig", "file;label\r\na.png;1\r\nü.jpg;7\r\n"), ("utf-8-sig", "file,label\r\na.png,1\r\nü.jpg, 7\r\n")],
)
def test_a_table_may_be_what_a_spreadsheet_writes(tmp_path, encoding, table):
    touch(tmp_path, "a.png", "ü.jpg")
    (tmp_path / "labels.csv").write_bytes(table.encode(encoding))
    assert labels_of(tmp_path) == {"a.png": 1, "ü.jpg": 7}


def test_folders_named_by_digit_give_the_labels(tmp_path):
    touch(tmp_path, "0/a.png", "9/b.png", "9/c.png", "notes/readme.txt")
    assert labels_of(tmp_path) == {"0/a.png": 0, "9/b.png": 9, "9/c.png": 9}


def test_file_names_give_the_labels(tmp_path):
    touch(tmp_path, "3_anna.png", "5.jpg", ".hidden")
    assert labels_of(tmp_path) == {"3_anna.png": 3, "5.jpg": 5}


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("path,digit\na.png,1\n", "columns"),
        ("", "columns"),
        ("file,label\nmissing.png,1\n", "no file"),
        ("file,label\na.png,11\n", "'11'"),
        ("file,label\na.png\n", "''"),
        ("file,label\na.png,x\n", "'x'"),
        ("file,label\n", "no labelled photos"),
    ],
)
def test_a_wrong_table_is_refused_in_three_parts(tmp_path, table, words):
    touch(tmp_path, "a.png")
    (tmp_path / "labels.csv").write_text(table)
    with pytest.raises(PhotoFolderError, match=words) as error:
        find_photos(tmp_path)
    assert "expected: " in str(error.value)
    assert "what to do: " in str(error.value)


def test_a_table_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "labels.csv").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(PhotoFolderError, match=r"labels\.csv"):
        find_photos(tmp_path)


def test_missing_and_empty_folders_are_refused_and_those_without_a_labelled_photo_with_the_names_of_what_is_there(
    tmp_path,
):
    with pytest.raises(PhotoFolderError, match="no folder"):
        find_photos(tmp_path / "missing")
    with pytest.raises(PhotoFolderError, match=r"no labelled photos\n"):
        find_photos(tmp_path)
    touch(tmp_path, "README.md", "7_notes.txt", *(f"holiday_{number}.png" for number in range(5)))
    with pytest.raises(PhotoFolderError, match=r"no labelled photos, only 7_notes\.txt, README\.md, .* and 2 more"):
        find_photos(tmp_path)


@pytest.mark.parametrize(
    ("labelled", "stray"),
    [
        (("7_a.png",), ("7_notes.txt", "README.md", "Thumbs.db", "holiday.jpg", "photos.zip")),
        (("7/a.png", "0/b.heic"), ("README.md", "3/Thumbs.db", "7/notes.txt")),
    ],
)
def test_stray_files_among_labelled_photos_are_named_and_left_out(tmp_path, labelled, stray):
    touch(tmp_path, *labelled, *stray, ".DS_Store")
    photos, others = find_photos(tmp_path)
    assert {str(photo.path.relative_to(tmp_path)) for photo in photos} == set(labelled)
    assert {str(path.relative_to(tmp_path)) for path in others} == set(stray)


def test_a_picture_is_one_by_its_name_however_damaged_or_by_how_it_begins(tmp_path):
    touch(tmp_path, "3_empty.JPG", "5_text.webp")
    (tmp_path / "8").write_bytes(encode_png(np.zeros((200, 300, 3), np.uint8)))
    (tmp_path / "9.data").write_bytes(bytes(1000))
    assert labels_of(tmp_path) == {"3_empty.JPG": 3, "5_text.webp": 5, "8": 8}
