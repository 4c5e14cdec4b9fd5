"""What jobs/read.py refuses before Ray starts, which files it finds, and the table that it writes."""

import csv
import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from digits.commands.reader.found_pictures import find_pictures
from digits.commands.reader.pictures import ReadSettings, read_pictures, row_of
from digits.commands.reader.read_table import COLUMNS, ReadTable
from digits.errors import ConfigurationError
from digits.images import encode_png
from digits.reading.answer import ReadDigit, Reading

PICTURE = encode_png(np.zeros((9, 9), np.uint8))


def test_mistakes_are_told_in_three_parts_before_ray_starts(refusal):
    assert "no pictures are named" in refusal(ReadSettings, read_pictures, [])
    assert "there is no nowhere" in refusal(ReadSettings, read_pictures, ["nowhere"])


@pytest.mark.parametrize(
    ("output", "part"), [("read.txt", "is no table"), ("there.csv", "is there already"), ("x.csv.gz", "is no table")]
)
def test_an_output_that_cannot_be_is_refused(tmp_path, output, part):
    (tmp_path / "there.csv").write_text("mine")
    with pytest.raises(ConfigurationError, match=part):
        ReadTable(str(tmp_path / output))
    assert (tmp_path / "there.csv").read_text() == "mine"


def test_pictures_are_found_in_all_folders_and_others_are_named(tmp_path):
    for name in ("b/2.png", "b/deep/1.png", "a.png", "b/.hidden/3.png", "b/.4.png", "without_end"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(PICTURE)
    (tmp_path / "b" / "notes.txt").write_text("no picture")
    (tmp_path / "b" / "labels.csv").write_text("file,label")
    pictures, stray = find_pictures([str(tmp_path), str(tmp_path / "a.png")])
    names = [picture.name.removeprefix(f"{tmp_path}/") for picture in pictures]
    assert names == ["a.png", "b/2.png", "b/deep/1.png", "without_end"]
    assert stray == [str(tmp_path / "b" / "notes.txt")]
    assert pictures[0].file.read_bytes() == PICTURE


@pytest.mark.parametrize("content", [{}, {"notes.txt": b"none"}])
def test_a_folder_without_pictures_is_refused(tmp_path, content):
    for name, data in content.items():
        (tmp_path / name).write_bytes(data)
    with pytest.raises(ConfigurationError, match="no pictures in"):
        find_pictures([str(tmp_path)])


def reading() -> Reading:
    digits = [
        ReadDigit(
            box=(1.0, 2.0, 3.0, 4.0),
            digit=digit,
            confidence=0.9,
            probabilities=np.full(10, 0.1, np.float32),
            line=line,
            number=number,
        )
        for digit, line, number in ((0, 0, 0), (7, 0, 0), (4, 0, 1), (2, 1, 2))
    ]
    return Reading(digits=tuple(digits), rotation=90)


ROWS = [row_of("a.png", reading(), None), row_of("b.png", None, "not_a_digit")]


def test_a_csv_file_has_a_row_for_each_picture(tmp_path):
    table = ReadTable(str(tmp_path / "new" / "read.csv"))
    table.finish(ROWS)
    with (tmp_path / "new" / "read.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert tuple(first) == COLUMNS
    assert (first["file"], first["text"], first["numbers"], first["rotation"]) == ("a.png", "07 4|2", "07 4 2", "90")
    assert [one["digit"] for one in json.loads(first["digits"])] == [0, 7, 4, 2]
    assert (second["text"], second["refused"], second["digits"]) == ("", "not_a_digit", "[]")


def test_a_parquet_file_has_lists(tmp_path):
    table = ReadTable(str(tmp_path / "read.parquet"))
    table.finish(ROWS)
    first, second = pq.read_table(tmp_path / "read.parquet").to_pylist()
    assert first["numbers"] == ["07", "4", "2"] and first["text"] == "07 4\n2"
    assert first["digits"][1]["box"] == [1.0, 2.0, 3.0, 4.0] and len(first["digits"][1]["probabilities"]) == 10
    assert second["refused"] == "not_a_digit" and second["digits"] == []


def test_what_was_read_before_an_interruption_is_known_afterwards(tmp_path, monkeypatch):
    monkeypatch.setattr("digits.commands.reader.read_table.ROWS_A_PART", 2)
    table = ReadTable(str(tmp_path / "read.csv"))
    table.flush()
    for name in ("1", "2", "3"):
        table.add(row_of(name, None, "not_a_digit"))
    assert set(ReadTable(str(tmp_path / "read.csv")).rows) == {"1", "2"}  # the third waited in a process that ended
    table.flush()
    again = ReadTable(str(tmp_path / "read.csv"))
    assert set(again.rows) == {"1", "2", "3"}
    again.add(row_of("4", None, "not_a_digit"))
    again.flush()
    assert set(ReadTable(str(tmp_path / "read.csv")).rows) == {"1", "2", "3", "4"}
    again.finish(list(again.rows.values()))
    assert [path.name for path in tmp_path.iterdir()] == ["read.csv"]


def test_a_damaged_part_is_named(tmp_path):
    (tmp_path / "read.csv.parts").mkdir()
    (tmp_path / "read.csv.parts" / "0000.json").write_text("[")
    with pytest.raises(ConfigurationError, match=r"0000\.json cannot be read"):
        ReadTable(str(tmp_path / "read.csv"))


def test_what_a_kill_left_half_written_is_no_part_and_numbers_are_never_used_twice(tmp_path):
    parts = tmp_path / "read.csv.parts"
    parts.mkdir()
    (parts / "0002.json").write_text(json.dumps([row_of("1", None, "not_a_digit")]))
    (parts / "0003.json.5f3a.tmp").write_text("[{")
    table = ReadTable(str(tmp_path / "read.csv"))
    assert set(table.rows) == {"1"}
    table.add(row_of("2", None, "not_a_digit"))
    table.flush()
    assert {path.name for path in parts.glob("*.json")} == {"0002.json", "0003.json"}
