"""Folders and buckets: files are replaced in one step, options survive, keys stay hidden, errors are clear."""

import dataclasses
import os
import pickle
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pyarrow import fs

from digits import storage as storage_module
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
    bucket = Storage(fs.SubTreeFileSystem("/", fs._MockFileSystem()), "bucket/runs", "s3://bucket", len("bucket"))
    (bucket / "best.json").write_bytes(b"{}")
    assert (bucket / "best.json").read_bytes() == b"{}"
    assert str(bucket / "best.json") == "s3://bucket/runs/best.json"


@pytest.fixture(params=["folder", "bucket"])
def place(request, tmp_path):
    """A storage where nothing lies yet, of either kind."""
    if request.param == "folder":
        return Storage.open(tmp_path) / "runs"
    files = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    return Storage(files, "bucket/runs", "s3://bucket", len("bucket"))


def test_folders_and_buckets_list_and_delete_alike(place):
    assert place.files() == [] == place.folders()
    for name in ("b.json", "a.json", "two/x/weights.npz", "one/y"):
        (place / name).write_bytes(name.encode())
    assert (place.files(), place.folders()) == (["a.json", "b.json"], ["one", "two"])
    file, folder, nothing = place / "a.json", place / "two", place / "three"
    assert [each.is_file() for each in (file, folder, nothing)] == [True, False, False]
    assert [each.exists() for each in (file, folder, nothing)] == [True, True, False]
    file.delete()
    folder.delete()
    assert (place.files(), place.folders()) == (["b.json"], ["one"])
    for gone in (file, folder):
        with pytest.raises(OSError):
            gone.delete()
    assert (place / "b.json").read_bytes() == b"b.json"


def test_pyarrow_reads_what_was_written_to_either(place):
    (place / "one").write_bytes(b"content")
    with place.filesystem.open_input_stream((place / "one").path) as stream:
        assert stream.read() == b"content"


def test_pyarrow_is_imported_where_a_bucket_is_opened_and_not_before():
    assert not hasattr(storage_module, "fs")


def test_what_is_written_is_on_the_disk_before_it_takes_its_place(tmp_path, monkeypatch):
    file, synced = Storage.open(tmp_path) / "best.json", []
    monkeypatch.setattr("os.fsync", lambda number: synced.append((os.fstat(number).st_size, file.exists())))
    file.write_bytes(b"content")
    assert synced == [(len(b"content"), False)]


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot write"):
        Storage.open(tmp_path / "file" / "runs").check_writable()


def test_an_unknown_scheme_is_refused():
    with pytest.raises(ConfigurationError, match="what to do"):
        Storage.open("nowhere://bucket/runs")


@pytest.mark.parametrize(
    "uri",
    [
        "abfss://account.dfs.core.windows.net/runs",
        "abfs://container/runs",
        "abfss://@account.dfs.core.windows.net/runs",
        "ABFSS://:sEcReT@account.dfs.core.windows.net/container/runs",
        "abfss://account.dfs.core.windows.net/a@b",
    ],
)
def test_azure_without_a_container_is_refused_in_three_parts(uri):
    with pytest.raises(ConfigurationError, match="names no container") as refused:
        Storage.open(uri)
    assert "container@account" in refused.value.expected and "before the account" in refused.value.remedy
    assert "sEcReT" not in str(refused.value)


def test_a_relative_path_is_made_absolute(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert Path(Storage.open("runs").path) == tmp_path / "runs"


CLAIM = """
import sys, time
from digits.storage import Storage
time.strftime = lambda form: "20261125-120000"
print("ready", flush=True)
sys.stdin.readline()
print(Storage.open(sys.argv[1]).new_folder("train").name)
"""


def test_jobs_that_start_in_one_second_get_a_folder_each(tmp_path):
    """The clock stands still, as it seems to where it was set back."""
    command = [sys.executable, "-c", CLAIM, str(tmp_path / "runs")]
    jobs = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(6)]
    for job in jobs:
        job.stdout.readline()
    for job in jobs:
        job.stdin.write("\n")
        job.stdin.flush()
    names = sorted(job.communicate(timeout=60)[0].strip() for job in jobs)
    assert names == ["train-20261125-120000", *(f"train-20261125-120000-{number}" for number in range(2, 7))]
    assert Storage.open(tmp_path / "runs").folders() == names


def test_a_folder_of_a_bucket_has_a_name_that_no_other_gets(tmp_path, monkeypatch):
    monkeypatch.setattr(time, "strftime", lambda form: "20261125-120000")
    bucket = Storage(fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem()), "runs", "s3://")
    names = {bucket.new_folder("train").name for _ in range(20)}
    assert len(names) == 20
    assert all(re.fullmatch("train-20261125-120000-[0-9a-f]{6}", name) for name in names)


def test_two_runs_in_one_second_share_no_folder(tmp_path, tiny_mnist, monkeypatch):
    from digits.commands.preparation import prepare
    from digits.commands.reader.training import TrainReaderSettings
    from digits.commands.reader.training import prepare as prepare_reader
    from digits.commands.settings import DataFlags, RunSettings
    from digits.commands.training import TrainSettings
    from digits.training.runs import Run

    monkeypatch.setattr(time, "strftime", lambda form: "20261125-120000")
    settings = TrainSettings(run=RunSettings(storage_path=str(tmp_path), data=DataFlags(path=tiny_mnist)))
    runs = [
        prepare(settings.run, Run, begin=settings.begin, given=settings.given(), name="train").run_dir.name
        for _ in range(2)
    ]
    assert runs == ["train-20261125-120000", "train-20261125-120000-2"]
    readers = [prepare_reader(TrainReaderSettings(storage_path=str(tmp_path)))[1].name for _ in range(2)]
    assert readers == ["reader-20261125-120000", "reader-20261125-120000-2"]


ENDPOINT = "endpoint_override=127.0.0.1:9000&scheme=http&region=us-east-1"


@pytest.mark.parametrize(
    "uri",
    [
        f"s3://bucket?{ENDPOINT}",
        f"s3://bucket/runs?{ENDPOINT}",
        f"s3://bucket/my%20runs/x?{ENDPOINT}",
        "gs://anonymous@bucket/runs",
        "gs://bucket/runs?endpoint_override=127.0.0.1:9000&scheme=http",
        "abfss://container@account.dfs.core.windows.net/runs",
        "abfss://container@account.dfs.core.windows.net",
        "abfss://container@account/runs?blob_storage_authority=127.0.0.1:9000&enable_tls=false",
    ],
)
def test_what_is_written_of_a_bucket_opens_the_same_again(uri):
    storage = Storage.open(uri)
    assert str(storage) == uri
    inside = storage / "a run" / "best.json"
    for place in (storage, inside, inside.parent, inside.parent.parent):
        assert Storage.open(str(place)) == place
        assert pickle.loads(pickle.dumps(place)) == place
    before_query = str(inside).partition("?")[0]
    assert before_query == uri.partition("?")[0] + "/a%20run/best.json"
    assert inside.path.endswith("/a run/best.json")
    assert inside.parent.parent == storage


def test_a_local_uri_is_a_local_folder(tmp_path):
    assert Storage.open(f"file://{tmp_path}/a%20b") == Storage.open(tmp_path / "a b")


def test_keys_open_the_bucket_and_are_not_shown():
    uri = f"s3://AKIAEXAMPLE:sE%2FcReT@bucket/runs?{ENDPOINT}"
    storage, without = Storage.open(uri), Storage.open(f"s3://bucket/runs?{ENDPOINT}")
    assert storage.filesystem != without.filesystem, "the keys were not used"
    for shown in (str(storage / "x"), repr(storage), str((storage / "x").parent)):
        assert "AKIAEXAMPLE" not in shown and "cReT" not in shown
    assert str(storage) == str(without)
    # Workers get the object, and with it the keys.
    assert pickle.loads(pickle.dumps(storage / "x")).filesystem == storage.filesystem


@pytest.mark.parametrize(
    "uri",
    [
        "s3://AKIAEXAMPLE:sEcReT@bucket/runs?unknown_option=sEcReT2",
        "s3://AKIAEXAMPLE:sE/cReT@bucket/runs",
        "nowhere://AKIAEXAMPLE:sEcReT@bucket/runs",
        "abfss://container:sEcReT@account.dfs.core.windows.net/runs?client_secret=AKIAEXAMPLE",
    ],
)
def test_an_error_of_a_uri_does_not_show_its_keys(uri):
    with pytest.raises(ConfigurationError) as refused:
        Storage.open(uri)
    chain = f"{refused.value} {refused.value.__cause__} "
    assert "AKIAEXAMPLE" not in chain and "cReT" not in chain
    assert refused.value.__suppress_context__
    assert "what to do" in str(refused.value)


def test_a_path_that_pyarrow_reads_otherwise_is_refused(monkeypatch):
    class Elsewhere:
        @staticmethod
        def from_uri(uri):
            return fs.SubTreeFileSystem("/", fs._MockFileSystem()), "bucket/other"

    monkeypatch.setattr(fs, "FileSystem", Elsewhere)
    with pytest.raises(ConfigurationError, match=r"its path is read as bucket/other"):
        Storage.open("s3://bucket/runs/../other")


def test_a_storage_says_whether_something_is_there_and_cannot_be_changed(tmp_path):
    storage = Storage.open(tmp_path)
    assert storage.exists() is True and (storage / "nothing").exists() is False
    assert (storage / "nothing").files() == [] == (storage / "nothing").folders()
    with pytest.raises(dataclasses.FrozenInstanceError):
        storage.path = "/elsewhere"


def test_a_new_folder_is_made_with_the_folders_above_it(tmp_path):
    folder = (Storage.open(tmp_path) / "not" / "yet").new_folder("train")
    assert Path(folder.path).is_dir() and Path(folder.path).parent == tmp_path / "not" / "yet"


def test_a_check_leaves_nothing_behind(tmp_path):
    (Storage.open(tmp_path) / "runs").check_writable()
    assert list((tmp_path / "runs").iterdir()) == []
