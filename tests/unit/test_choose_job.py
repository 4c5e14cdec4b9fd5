"""jobs/choose.py: shows the checkpoints and the best one, goes back to an earlier one, says what is not compared."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from digits.commands.choosing import ChooseSettings, choose
from digits.commands.reports.training import best_so_far
from digits.errors import ConfigurationError
from digits.models.registry import SHIPPED, find_best
from digits.storage import Storage
from tests.unit.models.finished import finish, register

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def storage(tmp_path):
    storage = Storage.open(tmp_path / "runs")
    register(storage, "first/x", photo_score=0.9)
    register(storage, "second/x", photo_score=0.95)
    register(storage, "own/x", photo_score=0.99, fingerprint="e" * 64)
    return storage


def asked(storage, **flags):
    return choose(ChooseSettings(storage_path=str(storage), **flags))


def test_it_shows_all_and_changes_nothing(storage, capsys):
    before = (storage / "registry").files()
    document = asked(storage)
    shown = capsys.readouterr().out
    assert document["best"] == f"{storage}/second/x"
    assert [each["checkpoint"] for each in document["checkpoints"]] == ["shipped", "first/x", "second/x", "own/x"]
    assert f"best checkpoint: {storage}/second/x" in shown
    assert "not compared: fingerprint" in " ".join(shown.split())
    assert (storage / "registry").files() == before


def test_going_back_is_one_command(storage, tmp_path):
    for name, best in (("first/x", "first/x"), ("own/x", "own/x"), (None, "second/x")):
        flags = ["--by-score"] if name is None else ["--checkpoint", name]
        # In a folder of its own, without flags for storage: as people type it.
        done = subprocess.run(
            [sys.executable, "-m", "jobs.choose", *flags],
            cwd=tmp_path,
            env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin", "HOME": "/x"},
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout.splitlines()[-1])["best"] == f"{storage}/{best}"
        assert find_best(storage) == storage / best


def test_an_unknown_checkpoint_is_one_message(storage):
    with pytest.raises(ValueError, match="not among the 3 checkpoints"):
        asked(storage, checkpoint="third/x")
    with pytest.raises(ConfigurationError, match="one of them at most"):
        asked(storage, checkpoint="first/x", by_score=True)


def test_what_is_left_is_shown_where_nothing_is(storage, capsys):
    for run in ("first", "second", "own"):
        (storage / run).delete()
    document = asked(storage)
    assert document["best"] == str(SHIPPED) and len(document["checkpoints"]) == 4
    assert capsys.readouterr().out.count("removed") == 3


def test_a_storage_path_without_records_shows_what_best_json_names(tmp_path, capsys):
    storage = Storage.open(tmp_path)
    finish(storage, "old/x")
    (storage / "best.json").write_bytes(b'{"checkpoint": "old/x"}')
    document = asked(storage)
    assert "the best" not in capsys.readouterr().out.replace("best checkpoint", "")
    assert document["best"] == f"{storage}/old/x"
    assert [each["checkpoint"] for each in document["checkpoints"]] == ["shipped"]


def test_where_there_is_no_other_the_shipped_one_is_the_best(tmp_path):
    assert asked(tmp_path)["best"] == str(SHIPPED)


def test_the_shipped_one_can_be_chosen(storage):
    assert asked(storage, checkpoint="shipped")["best"] == str(SHIPPED)
    assert asked(storage, by_score=True)["best"] == f"{storage}/second/x"


def test_a_training_says_what_became_of_its_network(storage):
    better = finish(storage, "third/x", photo_score=0.97)
    registry = register(storage, "third/x", photo_score=0.97)
    assert best_so_far(registry, better) == f"best checkpoint so far: {storage}/third/x"
    worse = finish(storage, "fourth/x", photo_score=0.5)
    registry = register(storage, "fourth/x", photo_score=0.5)
    assert best_so_far(registry, worse) == f"best checkpoint stays: {storage}/third/x"
    other = finish(storage, "fifth/x", photo_score=0.99, protocol="literature")
    registry = register(storage, "fifth/x", photo_score=0.99, protocol="literature")
    told = best_so_far(registry, other)
    assert told.startswith(f"best checkpoint stays: {storage}/third/x\n")
    assert "protocol literature, not article" in told
    assert "python jobs/choose.py --checkpoint fifth/x" in told
