"""Shards hold all digits in their order; other files than MNIST's are refused by name."""

import gzip

import numpy as np
import pytest

from digits.data import shards
from digits.data.files import find_digits
from digits.data.read import read_without_ray
from digits.errors import DataError


def test_shards_hold_all_digits_in_their_order(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "ROWS_PER_SHARD", 4)
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (12, 28, 28), np.uint8), rng.integers(0, 10, 12).astype(np.uint8)
    paths = shards.write_shards(images, labels, tmp_path, "train")
    assert [path.name for path in paths] == [f"train-0{index}-of-03.parquet" for index in range(3)]
    read_images, read_labels = read_without_ray(find_digits(str(tmp_path)), np.ones(12, bool), inverted_copies=False)
    np.testing.assert_array_equal(read_images, images)
    np.testing.assert_array_equal(read_labels, labels)


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_that_is_not_mnists_is_refused_by_its_sha256(packed, tmp_path):
    name, data = "train-images-idx3-ubyte", b"\0\0\x08\x03" + b"\0" * 12
    if packed:
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(data))
    else:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match="SHA-256"):
        shards.read_idx(tmp_path, name)


def test_a_file_that_is_missing_is_named(tmp_path):
    with pytest.raises(DataError, match=r"neither t10k-labels-idx1-ubyte\.gz nor t10k-labels-idx1-ubyte"):
        shards.read_idx(tmp_path, "t10k-labels-idx1-ubyte")
