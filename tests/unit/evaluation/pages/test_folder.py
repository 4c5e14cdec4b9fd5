"""Folders of pages: what is accepted, and how refusals count."""

import csv

import numpy as np
import pytest

from digits.errors import PhotoFolderError
from digits.evaluation.pages.folder import PageReading, find_pages, find_pictures, pages_csv, score_of
from digits.images import encode_png
from digits.reading.answer import ReadDigit, Reading


def folder_with(tmp_path, table, names=("a.png", "b.png")):
    for number, name in enumerate(names):
        (tmp_path / name).write_bytes(encode_png(np.full((20, 30), 200 - 100 * number, np.uint8)))
    (tmp_path / "labels.csv").write_text(table)
    return tmp_path


def test_lines_are_joined_by_bars_and_spaces_ignored(tmp_path):
    pages = find_pages(folder_with(tmp_path, "file,text,note\nb.png,12 3|45,x\na.png,7,y\n"))
    assert [(page.path.name, page.lines) for page in pages] == [("a.png", ("7",)), ("b.png", ("123", "45"))]


@pytest.mark.parametrize(
    "table",
    [
        "file,label\na.png,1\n",
        "file,text\nc.png,1\n",
        "file,text\na.png,1a\n",
        "file,text\na.png,1||2\n",
        "file,text\n",
    ],
)
def test_tables_that_cannot_be_right_are_named(tmp_path, table):
    with pytest.raises(PhotoFolderError, match="what to do: "):
        find_pages(folder_with(tmp_path, table))


def test_folders_without_pictures_are_named(tmp_path):
    with pytest.raises(PhotoFolderError, match="what to do"):
        find_pages(tmp_path)
    with pytest.raises(PhotoFolderError, match="holds no pictures"):
        find_pictures(tmp_path)
    with pytest.raises(PhotoFolderError, match="there is no folder"):
        find_pictures(tmp_path / "nowhere")
    (tmp_path / "README.md").write_text("what these are")
    with pytest.raises(PhotoFolderError, match=r"holds no pictures, only README\.md"):
        find_pictures(tmp_path)
    found = find_pictures(folder_with(tmp_path, "file,what\n"))
    assert [[path.name for path in paths] for paths in found] == [["a.png", "b.png"], ["README.md"]]


def test_a_refused_page_counts_all_its_digits_as_wrong(tmp_path):
    pages = find_pages(folder_with(tmp_path, "file,text\na.png,12|3\nb.png,4567\n"))
    digits = tuple(
        ReadDigit(box=(0, 0, 1, 1), digit=d, confidence=1.0, probabilities=np.eye(10)[d], line=line, number=number)
        for d, line, number in ((1, 0, 0), (2, 0, 1), (3, 1, 2))
    )
    readings = [
        PageReading(path=pages[0].path, reading=Reading(digits=digits, rotation=90)),
        PageReading(path=pages[1].path, reading=None),
    ]
    assert readings[0].reading.text == "1 2\n3" and readings[0].reading.numbers == ["1", "2", "3"]
    score = score_of(pages, readings)
    assert (score.exact, score.lines_exact, score.digits, score.edit_distance) == (1, 1, 7, 4)
    assert pages_csv(pages, readings) == "file,text,read,rotation\na.png,12|3,12|3,90\nb.png,4567,,\n"


def test_a_table_may_have_the_semicolons_of_a_spreadsheet(tmp_path):
    pages = find_pages(folder_with(tmp_path, "file;text\na.png;12|3\nb.png;4\n"))
    assert [page.lines for page in pages] == [("12", "3"), ("4",)]


def test_a_name_with_a_comma_stays_one_cell(tmp_path):
    (page,) = find_pages(folder_with(tmp_path, 'file,text\n"a, b.png",12\n', names=("a, b.png",)))
    written = pages_csv([page], [PageReading(path=page.path, reading=None)])
    assert list(csv.reader(written.splitlines()))[1] == ["a, b.png", "12", "", ""]
