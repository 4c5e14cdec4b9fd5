"""A benchmark that was stopped goes on: parts that ended are kept, and one run has one machine and one setting."""

import json

import pytest

from digits.benchmarks import benchmark as module
from digits.benchmarks.benchmark import BenchmarkSettings, benchmark
from digits.benchmarks.measuring import Figure
from digits.benchmarks.record import FILE
from digits.errors import BenchmarkError, ConfigurationError


@pytest.fixture
def measured(monkeypatch):
    """The parts that were measured, each in no time; `data` fails until the list named `broken` is empty."""
    calls, broken = [], ["data"]

    def part(name):
        def measure(scope, results):
            calls.append(name)
            if name in broken:
                raise BenchmarkError("stopped", "no stop", "go on")
            sides = {"ours": [1.0], "theirs": [2.0]}
            results.figures.append(
                Figure(part=name, what="what", unit="s", against="other", better="lower", aim=0.6, **sides)
            )
            results.details[name] = len(calls)

        return measure

    monkeypatch.setattr(module, "MEASURES", {name: part(name) for name in ("steps", "data", "evaluation")})
    return calls, broken


def settings(tmp_path, *parts, **more):
    return BenchmarkSettings(parts=parts, repeats=1, storage_path=str(tmp_path), **more)


def test_a_benchmark_that_was_stopped_goes_on_with_the_parts_that_are_missing(tmp_path, measured):
    calls, broken = measured
    with pytest.raises(BenchmarkError):
        benchmark(settings(tmp_path, "steps", "data", "evaluation"))
    (folder,) = tmp_path.iterdir()
    kept = json.loads((folder / FILE).read_text())
    assert list(kept["parts"]) == ["steps"]
    broken.clear()
    document = benchmark(settings(tmp_path, "steps", "data", "evaluation", resume=folder.name))
    assert calls == ["steps", "data", "data", "evaluation"]
    assert [figure["part"] for figure in document["figures"]] == ["steps", "data", "evaluation"]
    assert document["figures"][0] == kept["figures"][0]
    assert document["details"] == {"steps": 1, "data": 3, "evaluation": 4}
    assert json.loads((folder / FILE).read_text()) == document


def test_a_part_can_be_added_to_a_benchmark(tmp_path, measured):
    calls, _ = measured
    folder = benchmark(settings(tmp_path, "steps"))["folder"]
    document = benchmark(settings(tmp_path, "evaluation", resume=folder))
    assert calls == ["steps", "evaluation"]
    assert set(document["parts"]) == {"steps", "evaluation"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda document: document["machine"].update(processor="another"), "processor changed since"),
        (lambda document: document["machine"].update(versions={}), "versions changed since"),
        (lambda document: document["settings"].update(repeats=3), "the settings are not those of"),
    ],
)
def test_figures_of_another_machine_or_with_other_settings_are_not_added_to(tmp_path, measured, change, words):
    folder = benchmark(settings(tmp_path, "steps"))["folder"]
    file = tmp_path / folder / FILE
    document = json.loads(file.read_text())
    change(document)
    file.write_text(json.dumps(document))
    with pytest.raises(ConfigurationError, match=words):
        benchmark(settings(tmp_path, "steps", resume=folder))
    assert json.loads(file.read_text()) == document


def test_a_benchmark_that_is_not_there_or_cannot_be_read_is_refused(tmp_path, measured):
    with pytest.raises(ConfigurationError, match="there is no"):
        benchmark(settings(tmp_path, "steps", resume="benchmark-of-nobody"))
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / FILE).write_text('{"machine": ')
    with pytest.raises(BenchmarkError, match="cannot be read"):
        benchmark(settings(tmp_path, "steps", resume="torn"))
