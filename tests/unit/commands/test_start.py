"""What a job reads while Ray starts, and how much of it."""

import numpy as np
import pytest

from digits import cluster
from digits.commands import preparation
from digits.commands.preparation import Prepared
from digits.commands.settings import RunSettings
from digits.config import DataConfig
from digits.data.files import find_digits
from digits.data.read import read_without_ray
from digits.data.split import Split
from digits.errors import DataError
from digits.lease import Lease
from digits.storage import Storage


@pytest.fixture
def prepared(tiny_mnist, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "connect", lambda *, state_api: ({"CPU": 2.0}, 1))
    monkeypatch.setattr(cluster, "check_shared", lambda *arguments, **options: None)
    monkeypatch.setattr(preparation, "start_photo_digits", lambda originals: [originals])
    split = Split.make(find_digits(tiny_mnist), DataConfig())
    folder = Storage.open(str(tmp_path))
    return Prepared(work=None, run_dir=folder / "run", split=split, lease=Lease(folder / "run", tell=print))


def test_a_job_judges_all_that_validate_where_it_can_hold_them(prepared):
    split = prepared.split
    started = preparation.start(prepared, RunSettings())
    assert np.array_equal(started.judged, split.validates)
    for mine, all_of_them in zip(
        started.validation, read_without_ray(split.files, split.validates, inverted_copies=True), strict=True
    ):
        assert np.array_equal(mine, all_of_them)


def test_of_more_it_judges_so_many_evenly_spread(prepared, monkeypatch):
    monkeypatch.setattr(preparation, "NUM_JUDGED", 10)
    started = preparation.start(prepared, RunSettings())
    assert started.judged.sum() == 10
    assert not (started.judged & ~prepared.split.validates).any()
    gaps = np.diff(np.flatnonzero(started.judged[prepared.split.validates]))
    assert gaps.max() - gaps.min() <= 1
    assert len(started.validation[1]) == 20


def test_digits_that_cannot_be_read_end_the_job(prepared, monkeypatch):
    def fails(*arguments, **options):
        raise DataError("train-00.parquet cannot be read", "a complete Parquet file")

    monkeypatch.setattr(preparation, "read_without_ray", fails)
    with pytest.raises(DataError, match=r"train-00\.parquet"):
        preparation.start(prepared, RunSettings())
