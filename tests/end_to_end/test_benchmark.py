"""The benchmark runs at a tiny size and its JSON is complete; how fast anything is, no test says."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from digits.benchmarks import growth
from digits.benchmarks.measuring import Figure, alternate

ROOT = Path(__file__).resolve().parents[2]


def run_benchmark(tmp_path, *parts):
    """The benchmark's JSON for a few hundred digits and one turn."""
    sizes = ["--digits", "400", "--epochs", "1", "--repeats", "1", "--seconds", "0.5", "--trials", "2"]
    command = [sys.executable, str(ROOT / "jobs" / "benchmark.py"), "--storage-path", "runs", *sizes]
    done = subprocess.run([*command, "--parts", *parts], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads(done.stdout.splitlines()[-1])
    assert Path(document["folder"]).parent == tmp_path / "runs"
    return document


def check(document, parts):
    """Every part gave figures, each with both sides and their ratio; machine and versions stand beside them."""
    assert {figure["part"] for figure in document["figures"]} == set(parts)
    for figure in document["figures"]:
        ratio = figure["ratio"]
        assert len(figure["ours"]) == len(figure["theirs"]) == document["settings"]["repeats"]
        assert all(math.isfinite(value) and value > 0 for value in (*figure["ours"], *figure["theirs"]))
        assert 0 < ratio["min"] <= ratio["median"] <= ratio["max"]
        assert figure["against"] and figure["unit"] and figure["what"]
        assert (figure["met"] is None) == (figure["aim"] is None)
    assert {"processor", "cores", "memory_gb", "versions"} <= set(document["machine"])
    assert list(document["parts"]) == list(parts)
    assert all(part["seconds"] > 0 and part["load"] >= 0 for part in document["parts"].values())
    assert json.loads((Path(document["folder"]) / "benchmark.json").read_text()) == document


@pytest.mark.slow
def test_the_data_path_is_measured(tmp_path):
    check(run_benchmark(tmp_path, "data"), ["data"])


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_steps_evaluation_and_service_are_measured(tmp_path):
    parts = ["steps", "evaluation", "service"]
    document = run_benchmark(tmp_path, *parts)
    check(document, parts)
    assert sum(document["details"]["failed requests"].values()) == 0


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_whole_jobs_are_measured(tmp_path):
    parts = ["training", "data", "distortion", "search"]
    document = run_benchmark(tmp_path, *parts)
    check(document, parts)
    memory = document["details"]["peak memory, MB"]
    assert memory["bare import tensorflow"]["main"] > 100
    assert {"ray::TrainController", "ray::RayTrainWorker"} <= set(memory["training, baseline"]["ours"])


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_growth_is_measured_and_drawn(tmp_path):
    document = run_benchmark(tmp_path, "growth")
    measured = document["details"]["growth"]
    images = [row["images"] for row in measured["digits"]]
    assert images == [800 * copies for copies in (1, 2, 4, 8)]
    assert {row["clients"] for row in measured["service"]} == {2**power for power in range(9)}
    assert (Path(document["folder"]) / "growth.png").read_bytes().startswith(b"\x89PNG")


def test_the_curves_of_growth_lie_inside_their_axes():
    def drawn(factor):
        digits = [{"images": 1e6, "seconds": 40 * factor, "process_mb": 300 * factor, "object_store_mb": 90 * factor}]
        return growth.picture({"digits": digits, "trials": [{"trials": 2, "seconds": 50 * factor}]})

    assert drawn(1) != drawn(2)


def figure(better, aim, ours, theirs):
    return Figure(part="part", what="what", unit="s", against="other", ours=ours, theirs=theirs, better=better, aim=aim)


def test_a_ratio_is_taken_turn_by_turn_and_its_median_must_reach_the_aim():
    slower = figure("lower", 0.5, ours=[1.0, 4.0, 9.0], theirs=[10.0, 10.0, 10.0])
    assert slower.ratios == [0.1, 0.4, 0.9]
    assert slower.met
    assert not figure("lower", 0.3, ours=[1.0, 4.0, 9.0], theirs=[10.0] * 3).met
    assert figure("higher", 0.4, ours=[1.0, 4.0, 9.0], theirs=[10.0] * 3).met
    assert not figure("higher", 0.5, ours=[1.0, 4.0, 9.0], theirs=[10.0] * 3).met
    assert figure("higher", None, ours=[1.0], theirs=[2.0]).met is None


def test_turns_alternate_which_side_runs_first():
    order = []
    sides = {name: (lambda turn, name=name: order.append((name, turn)) or turn) for name in ("a", "b")}
    assert alternate(sides, 3) == {"a": [0, 1, 2], "b": [0, 1, 2]}
    assert order == [("a", 0), ("b", 0), ("b", 1), ("a", 1), ("a", 2), ("b", 2)]
