"""Where runs lie when nobody says so: never in a copy of Ray's that is removed, and found again by those who look."""

from pathlib import Path

import pytest

from digits.default_storage import choose_storage, is_default_of_a_copy
from digits.errors import ConfigurationError

COPY = "session_2026/runtime_resources/working_dir_files/_ray_pkg_0123456789abcdef"


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(params=["", "jobs"], ids=["top", "inside"])
def in_a_copy(request, tmp_path, monkeypatch):
    folder = tmp_path / COPY / request.param
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def in_a_checkout(tmp_path, monkeypatch):
    (tmp_path / "checkout").mkdir()
    monkeypatch.chdir(tmp_path / "checkout")
    return tmp_path / "checkout"


def holds_best(storage):
    return (storage / "best.json").exists()


def test_a_job_in_a_checkout_writes_to_runs(home, in_a_checkout):
    assert choose_storage(None).path == str(in_a_checkout / "runs")
    assert choose_storage("other").path == str(in_a_checkout / "other")
    assert not is_default_of_a_copy(None)


def test_an_uploaded_job_writes_to_a_folder_that_stays(home, in_a_copy):
    assert choose_storage(None).path == str(home / "digits-runs")
    assert is_default_of_a_copy(None)
    assert not is_default_of_a_copy("/shared/runs")


@pytest.mark.parametrize("named", ["runs", "./runs", "a/b"])
def test_an_uploaded_job_refuses_a_relative_path(home, in_a_copy, named):
    with pytest.raises(ConfigurationError, match=r"(?s)relative path .*what to do: name it in full.*~/digits-runs"):
        choose_storage(named)


@pytest.mark.parametrize("named", ["/shared/runs", "~/runs", "gs://anonymous@bucket/runs"])
def test_an_uploaded_job_takes_a_path_that_is_named_in_full(home, in_a_copy, named):
    assert str(choose_storage(named)) == named.replace("~", str(home))


def test_who_looks_for_something_finds_it_where_an_uploaded_job_left_it(home, in_a_checkout):
    def found():
        return choose_storage(None, holds=holds_best).path

    assert found() == str(in_a_checkout / "runs"), "nothing is anywhere: the usual folder is named in messages"
    (home / "digits-runs").mkdir(parents=True)
    (home / "digits-runs/best.json").touch()
    assert found() == str(home / "digits-runs")
    (in_a_checkout / "runs").mkdir()
    assert found() == str(home / "digits-runs")
    (in_a_checkout / "runs/best.json").touch()
    assert found() == str(in_a_checkout / "runs"), "the checkout comes first"
    assert choose_storage(str(home), holds=holds_best).path == str(home), "what is named is taken"


def test_paths_start_where_it_is_said(home, in_a_checkout, tmp_path):
    assert choose_storage("runs", tmp_path).path == str(tmp_path / "runs")
    assert choose_storage(None, tmp_path).path == str(tmp_path / "runs")
    assert Path(choose_storage(None, tmp_path / COPY).path) == home / "digits-runs"
