"""Shared by all tests: a tiny world of digits; nothing of the user's own Ray set-up is read or written."""

import functools
import os
import re
import sys

# Before Ray is imported anywhere: no token file in the home directory, no usage report, quiet logs.
os.environ.setdefault("RAY_AUTH_MODE", "disabled")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.pop("RAY_ADDRESS", None)

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import settings

from digits.data.mnist import find_mnist

# The same examples in every run, however slow the machine is.
settings.register_profile("digits", deadline=None, derandomize=True)
settings.load_profile("digits")

NUM_DIGITS = 600


@pytest.fixture(scope="session")
def read_mnist():
    """Reads MNIST's digits in one of the shipped Parquet files: images uint8 (5000, 28, 28), labels int64 (5000,)."""

    @functools.cache
    def read(name):
        table = pq.read_table(find_mnist() / f"{name}.parquet").combine_chunks()
        return table["image"].chunk(0).to_numpy_ndarray(), table["label"].to_numpy()

    return read


@pytest.fixture(scope="session")
def tiny_mnist(tmp_path_factory, read_mnist):
    """A folder of three Parquet files with the first 600 of MNIST's digits; the last one is named as held out."""
    images, labels = read_mnist("train-00-of-12")
    folder = tmp_path_factory.mktemp("tiny_mnist")
    for name, start in (("train-0", 0), ("train-1", 200), ("test-0", 400)):
        rows = slice(start, start + NUM_DIGITS // 3)
        column = pa.FixedShapeTensorArray.from_numpy_ndarray(np.ascontiguousarray(images[rows]))
        pq.write_table(pa.table({"image": column, "label": labels[rows]}), folder / f"{name}.parquet")
    return str(folder)


@pytest.fixture(scope="session")
def sheet_photo(read_mnist):
    """Makes a photo of a filled sheet, uint8 (H, W, 3), under conditions; the same for the same seed."""
    from digits.evaluation.pages.filled_sheet import SheetPhoto, simulated_sheet

    def make(seed, **conditions):
        digits = read_mnist("test-00-of-02")
        return simulated_sheet(*digits, np.random.default_rng((30, seed)), SheetPhoto(**conditions))

    return make


@pytest.fixture(scope="session")
def filled_sheet(sheet_photo):
    """One of them, with two empty boxes: the 7 of the second row and the 0 of the last."""
    return sheet_photo(0, empty=frozenset({(1, 7), (4, 0)}), turn=8)


@pytest.fixture(scope="session")
def sheet_file(filled_sheet, tmp_path_factory):
    """Writes that photo as a JPEG of some name into a folder of its own; returns its path."""
    from PIL import Image

    def write(name):
        path = tmp_path_factory.mktemp("sheets") / name
        Image.fromarray(filled_sheet).save(path, quality=92)
        return path

    return write


@pytest.fixture
def refusal(monkeypatch, tmp_path):
    """Gives the message with which a job refuses a command line, in its three parts, before Ray and any file."""
    from digits import cluster
    from digits.commands.console import run_job

    def message_of(settings, job, arguments):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["job", *arguments])
        monkeypatch.setattr(cluster, "connect", lambda **options: pytest.fail("Ray was started"))
        with pytest.raises(SystemExit) as ended:
            run_job(settings, job)
        message = str(ended.value.code)
        assert re.search(r"(?s)error: .+expected: .+what to do: .+", message)
        assert not [path for path in tmp_path.rglob("*") if path.is_file()]
        return message

    return message_of
