"""Folders and buckets: files are replaced in one step, and what cannot be opened is said clearly."""

from pathlib import Path

import pytest
from pyarrow import fs

from digits.errors import ConfigurationError
from digits.storage import Storage


def test_bytes_are_written_into_new_folders_and_read_back(tmp_path):
    file = Storage.open(tmp_path) / "run" / "metrics.json"
    assert not file.exists()
    file.write_bytes(b"{}")
    assert file.read_bytes() == b"{}"
    assert file.parent.files() == ["metrics.json"]
    assert Storage.open(tmp_path).folders() == ["run"]
    assert str(file) == f"{tmp_path}/run/metrics.json"


def test_a_failed_write_leaves_the_old_content(tmp_path, monkeypatch):
    file = Storage.open(tmp_path) / "best.json"
    file.write_bytes(b"old")

    def disk_is_full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", disk_is_full)
    with pytest.raises(OSError, match="No space"):
        file.write_bytes(b"new")
    assert file.read_bytes() == b"old"
    assert file.parent.files() == ["best.json"]


def test_a_bucket_is_used_like_a_folder():
    bucket = Storage(fs.SubTreeFileSystem("/", fs._MockFileSystem()), "bucket/runs", "s3://")
    (bucket / "best.json").write_bytes(b"{}")
    assert (bucket / "best.json").read_bytes() == b"{}"
    assert str(bucket / "best.json") == "s3://bucket/runs/best.json"


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot write"):
        Storage.open(tmp_path / "file" / "runs").check_writable()


def test_an_unknown_scheme_is_refused():
    with pytest.raises(ConfigurationError, match="what to do"):
        Storage.open("nowhere://bucket/runs")


def test_a_relative_path_is_made_absolute(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert Path(Storage.open("runs").path) == tmp_path / "runs"
