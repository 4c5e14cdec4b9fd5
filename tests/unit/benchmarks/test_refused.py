"""What cannot be measured is refused in three parts, before anything is started or written."""

import pytest

from digits.benchmarks.benchmark import BenchmarkSettings, benchmark
from digits.benchmarks.scaling.scale import ScaleSettings, scale
from digits.benchmarks.serving.load_test import LoadTestSettings, load_test

MISTAKES = [
    (BenchmarkSettings, benchmark, ["--repeats", "0"], "repeats = 0"),
    (BenchmarkSettings, benchmark, ["--digits", "100"], "200 to 70,000 digits"),
    (BenchmarkSettings, benchmark, ["--seconds", "100"], "at most 60"),
    (BenchmarkSettings, benchmark, ["--storage-path", "s3://bucket/runs"], "a folder of this machine"),
    (LoadTestSettings, load_test, ["--url", "http://digits.example"], "this machine's loopback"),
    (LoadTestSettings, load_test, ["--seconds", "0"], "at most 60"),
    (LoadTestSettings, load_test, ["--connections", "257"], "1 to 256"),
    (ScaleSettings, scale, ["--architectures", "nothing"], "some of baseline, improved"),
    (ScaleSettings, scale, ["--batch-sizes", "8"], "at least two different ones"),
    (ScaleSettings, scale, ["--checkpoints", "nothing-here"], "checkpoint.json"),
]


@pytest.mark.parametrize(
    ("settings", "job", "arguments", "words"), MISTAKES, ids=lambda value: str(getattr(value, "__name__", value))
)
def test_what_cannot_be_measured_is_refused_in_three_parts(settings, job, arguments, words, refusal):
    assert words in refusal(settings, job, arguments)
