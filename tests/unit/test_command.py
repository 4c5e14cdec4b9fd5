"""The command `digits`: reads pictures, runs jobs by their names, and says which there are."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from digits import __main__ as command
from digits.evaluation.pages.simulated import PLAIN, simulated_page
from digits.images import encode_png
from digits.service.settings import KEYS

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def asked(monkeypatch):
    def ask(*arguments):
        monkeypatch.setattr(sys, "argv", ["digits", *map(str, arguments)])
        return command.main()

    return ask


def test_pictures_are_read_for_people_and_as_json(asked, read_mnist, tmp_path, capsys):
    page = simulated_page(*read_mnist("train-11-of-12"), np.random.default_rng((77, 0)), PLAIN)
    (tmp_path / "page.png").write_bytes(encode_png(page.picture))
    (tmp_path / "blank.png").write_bytes(encode_png(np.full((60, 60), 250, np.uint8)))
    files = (tmp_path / "page.png", tmp_path / "blank.png")
    assert asked("read", *files) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.partition(": ")[2].replace(" ", "").split("|") == list(page.lines)
    assert second.endswith("blank.png: no digits (blank)")
    assert asked("read", "--json", *files) == 0
    assert [json.loads(line).get("error") for line in capsys.readouterr().out.splitlines()] == [None, "not_a_digit"]


def test_every_job_has_its_name(asked, capsys):
    files = {path.stem for path in (ROOT / "jobs").glob("*.py")} - {"__init__"}
    assert {name.replace("read-folders", "read").replace("-", "_") for name in command.JOBS} == files
    for job in command.JOBS.values():
        module = importlib.import_module(job.module)
        assert getattr(module, job.settings).__doc__ and callable(getattr(module, job.function))
        assert job.extra in ("train", "dev")
    assert all(name in command.__doc__ for name in command.JOBS)
    assert asked() == asked("--help") == 0
    assert "digits read" in capsys.readouterr().out


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_the_service_tells_its_settings(asked, capsys, flag):
    asked("serve", flag)
    told = capsys.readouterr().out
    assert all(f"    {key}=" in told for key in KEYS), told


def test_what_is_no_command_is_told_in_three_parts(asked, capsys):
    with pytest.raises(SystemExit, match="2"):
        asked("raed")
    told = capsys.readouterr().err
    assert "there is no command raed" in told and "expected: read, serve" in told and "what to do:" in told


@pytest.mark.parametrize(
    ("arguments", "package", "extra"),
    [(["train", "--epochs", "1"], "tensorflow", "train"), (["choose"], "tyro", "train"), (["serve"], "ray", "serve")],
)
def test_a_command_says_which_extra_it_lacks(arguments, package, extra, tmp_path):
    """In a process in which that package cannot be imported, as where it is not installed."""
    code = f"import sys; sys.modules[{package!r}] = None; from digits.__main__ import main; sys.exit(main())"
    done = subprocess.run([sys.executable, "-c", code, *arguments], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert f"needs the package {package}, which is not installed" in done.stderr
    assert f"pip install 'digits[{extra}]'" in done.stderr


@pytest.mark.parametrize(
    ("ask", "package"),
    [("run_path('jobs/train.py'", "tensorflow"), ("run_module('serve'", "ray")],
)
def test_the_files_of_jobs_and_the_service_say_so_too(ask, package):
    code = f"import runpy, sys; sys.modules[{package!r}] = None; sys.argv = ['x']; runpy.{ask}, run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert f"needs the package {package}, which is not installed" in done.stderr


def test_a_job_gets_its_arguments(tmp_path):
    run = [sys.executable, "-m", "digits", "choose", "--storage-path", str(tmp_path)]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["checkpoints"][0]["checkpoint"] == "shipped"
