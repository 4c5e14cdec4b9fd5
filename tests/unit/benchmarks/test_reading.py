"""The part reading: errors over all digits, rivals beside each other, and a word for those that are not there."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from digits.benchmarks import reading
from digits.benchmarks.measuring import FinishedProcess, Results, Scope


def scope(folder, pages=None):
    return Scope(folder=folder, repeats=2, digits=None, epochs=None, seconds=1, trials=1, pages=pages)


def finished(digits, seconds):
    return FinishedProcess(
        document={"digits": digits, "seconds": seconds}, started_at=0, seconds=seconds, lines=[], peak_bytes={}
    )


@pytest.fixture
def pages(tmp_path):
    """A folder with the labels of two pages."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "labels.csv").write_text("file,text\na.png,12|34\nb.png,567\n")
    for name in "ab":
        (folder / f"{name}.png").write_bytes(b"")
    return folder


def test_errors_are_counted_over_all_digits_and_set_beside_each_rival(tmp_path, pages, monkeypatch):
    few = {"a.png": "1234", "b.png": "56"}
    many = {"a.png": "1", "b.png": "5678"}
    monkeypatch.setattr(reading, "CONDITIONS", {})
    monkeypatch.setattr(reading, "simulated_folder", lambda folder: pages)
    monkeypatch.setattr(reading, "installed", lambda: {"rapidocr": ["rival"]})
    monkeypatch.setattr(reading, "run_side", lambda module, folder: finished(few, 1.0))
    monkeypatch.setattr(reading, "run_process", lambda command, environment: finished(many, 4.0))
    results = Results()
    reading.measure(scope(tmp_path, pages), results)
    assert [figure.what for figure in results.figures] == [
        "errors, simulated pages",
        "time, simulated pages",
        "errors, your pages",
        "time, your pages",
    ]
    errors, time = results.figures[:2]
    assert errors.ours == pytest.approx([100 / 7] * 2) and errors.theirs == pytest.approx([400 / 7] * 2)
    assert errors.met and time.ratios == [0.25, 0.25]
    assert results.details["errors on your pages, %"]["rapidocr"] == pytest.approx(400 / 7)


def test_a_rival_that_is_not_there_is_left_out_with_a_word(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(reading, "PYTHON", tmp_path / "python")
    monkeypatch.setattr(reading.shutil, "which", lambda name: None)
    assert reading.installed() == {}
    shown = capsys.readouterr().out
    assert "rapidocr is left out" in shown and "make peers" in shown
    assert "tesseract is left out" in shown and "tesseract-ocr" in shown


def test_the_shipped_networks_read_a_folder_of_simulated_pages(tmp_path, monkeypatch):
    conditions = dict(list(reading.CONDITIONS.items())[:2])
    monkeypatch.setattr(reading, "CONDITIONS", conditions)
    folder = reading.simulated_folder(tmp_path / "pages")
    with (folder / "labels.csv").open() as table:
        truth = {row["file"]: row["text"].replace("|", "") for row in csv.DictReader(table)}
    assert len(truth) == reading.PAGES * len(conditions)
    done = reading.run_side("digits.benchmarks.sides.read_pages", folder)
    assert set(done.document["digits"]) == set(truth) and done.document["seconds"] > 0
    assert reading.error_rate(done, truth) < 0.3


def test_the_rivals_program_needs_nothing_of_ours(tmp_path):
    program = Path(reading.PROGRAM).read_text()
    assert "import digits" not in program and "from digits" not in program
    done = subprocess.run([sys.executable, reading.PROGRAM, "nobody", tmp_path], capture_output=True, text=True)
    assert done.returncode != 0 and "nobody" in done.stderr
