"""What a check says of nodes and of groups of workers that were found so, and what it never says."""

import sys
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest

from digits.commands.console import Unsound, run_job
from digits.config import RECIPES
from digits.diagnostics.check import CheckSettings, check, document_of, problems_of_groups, problems_of_nodes
from digits.diagnostics.groups import Group
from digits.diagnostics.nodes import Node, driver_version, token_source, why_unseen
from digits.diagnostics.task import CheckTask
from digits.storage import Storage

NODE = Node(host="a", ray_cpus=2.0, ray_gpus=0.0, usable_cores=2, versions={"python": "3.11.7", "ray": "2.60.0"})


def test_a_cluster_as_it_should_be_has_no_problem():
    assert list(problems_of_nodes([NODE, replace(NODE, host="b")])) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"problem": "no answer within 60 s"}, ["b does not answer", "60 s"]),
        ({"storage": "FileNotFoundError: runs"}, ["b does not see the storage (FileNotFoundError: runs)", "bucket"]),
        ({"ray_cpus": 16.0}, ["Ray counts 16 cores on b, where 2 may be used", "--num-cpus 2"]),
        ({"versions": {"python": "3.12.1", "ray": "2.60.0"}}, ["not one version of python: 3.12.1 on b, 3.11.7 on a"]),
        ({"versions": {"python": "3.11.7", "ray": ""}}, ["not one version of ray: none on b, 2.60.0 on a"]),
    ],
)
def test_what_is_wrong_with_a_node_is_told_with_its_name(change, words):
    (problem,) = problems_of_nodes([NODE, replace(NODE, host="b", **change)])
    for word in words:
        assert word in problem


@pytest.fixture
def group(tmp_path):
    """Makes a group of workers whose first weight is what is given; keywords change the notes of the last one."""

    def make(workers, weight=1.0, **of_last):
        folder = Storage.open(tmp_path) / f"workers-{workers}"
        task = CheckTask(recipe=RECIPES["baseline"], steps=40, folder=folder)
        for rank in range(workers):
            note = {"rank": rank, "host": "a", "reserved": [str(rank)], "devices": ["GPU"], "weights": "abc"}
            note |= {"images_per_second": 100.0, "sum_ms": 1.0}
            task.note(rank, {**note, **(of_last if rank == workers - 1 else {})})
        buffer = BytesIO()
        np.savez(buffer, np.array([[weight, 2.0]], np.float32), np.full(3, 4.0, np.float32))
        task.write_weights(buffer.getvalue())
        return Group(task=task, notes=tuple(task.notes()))

    return make


def test_groups_that_train_alike_have_no_problem(group):
    groups = [group(1), group(12, weight=1.001)]
    assert [note["rank"] for note in groups[1].notes] == list(range(12))
    assert list(problems_of_groups(groups)) == []
    document = document_of(CheckSettings(), groups)
    assert [one["workers"] for one in document["groups"]] == [1, 12]
    assert document["difference"] == pytest.approx(0.001 / np.sqrt(1 + 4 + 3 * 16), rel=1e-3)


def test_workers_with_other_weights_are_told(group):
    assert list(problems_of_groups([group(2, weights="xyz")])) == ["2 workers do not end with the same weights"]


def test_workers_that_share_a_gpu_are_told(group):
    (problem,) = problems_of_groups([group(2, reserved=["0"])])
    assert problem == "workers share a GPU: 0 on a, 0 on a"
    assert list(problems_of_groups([group(2, reserved=["0"], host="b")])) == []


def test_one_worker_and_several_that_end_apart_are_told(group):
    (problem,) = problems_of_groups([group(1), group(2, weight=3.0)])
    assert "one worker and 2 end with weights that are 27" in problem


def test_a_group_that_failed_is_told_and_nothing_else(group):
    failed = Group(task=group(2).task, notes=(), problem="no GPU")
    assert list(problems_of_groups([group(1), failed])) == ["no GPU"]
    assert document_of(CheckSettings(), [group(1), failed])["difference"] is None


@pytest.mark.parametrize(
    ("environment", "source"),
    [
        ({"RAY_AUTH_MODE": "disabled", "RAY_AUTH_TOKEN": "secret"}, "disabled"),
        ({"RAY_AUTH_TOKEN": "secret"}, "RAY_AUTH_TOKEN"),
        ({"RAY_AUTH_TOKEN_PATH": "/secret"}, "RAY_AUTH_TOKEN_PATH"),
        ({}, "none"),
    ],
)
def test_where_the_token_comes_from_is_told_and_never_the_token(environment, source, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert token_source(environment) == source


def test_a_token_in_the_home_folder_is_found(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("secret")
    assert token_source({}) == "~/.ray/auth_token"


def test_the_driver_tells_its_version(tmp_path):
    file = tmp_path / "version"
    assert driver_version(file) is None
    file.write_text(
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024\nGCC version:\n"
    )
    assert driver_version(file) == "550.54.15"
    file.write_text("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.10  Release Build\n")
    assert driver_version(file) == "570.86.10"


def test_a_storage_that_is_not_seen_has_a_reason(tmp_path):
    storage = Storage.open(tmp_path)
    assert "FileNotFoundError" in why_unseen(storage / "nothing")
    (storage / "something").write_bytes(b"digits")
    assert why_unseen(storage / "something") == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--architecture", "largest"], "architecture = largest"),
        (["--steps", "41"], "steps = 41"),
        (["--steps", "2"], "steps = 2"),
        (["--num-workers", "0"], "0 workers"),
        (["--storage-path", "/proc/runs"], "cannot write"),
    ],
)
def test_a_mistake_is_one_message_before_ray_starts(arguments, words, refusal):
    assert words in refusal(CheckSettings, check, arguments)


def test_what_a_check_finds_wrong_is_its_last_line_and_the_exit_code_says_so(monkeypatch, capsys):
    def job(settings):
        raise Unsound({"problems": ["no GPU"]})

    monkeypatch.setattr(sys, "argv", ["job"])
    with pytest.raises(SystemExit) as ended:
        run_job(CheckSettings, job)
    assert ended.value.code == 1
    out, err = capsys.readouterr()
    assert out.splitlines()[-1] == '{"problems": ["no GPU"]}' and err == ""
