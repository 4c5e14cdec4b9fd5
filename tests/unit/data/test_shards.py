"""Shards hold all digits in their order."""

import numpy as np

from digits.data import shards
from digits.data.files import find_digits
from digits.data.read import read_without_ray


def test_shards_hold_all_digits_in_their_order(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "ROWS_PER_SHARD", 4)
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (12, 28, 28), np.uint8), rng.integers(0, 10, 12).astype(np.uint8)
    paths = shards.write_shards(images, labels, tmp_path, "train")
    assert [path.name for path in paths] == [f"train-0{index}-of-03.parquet" for index in range(3)]
    read_images, read_labels = read_without_ray(find_digits(str(tmp_path)), np.ones(12, bool), inverted_copies=False)
    np.testing.assert_array_equal(read_images, images)
    np.testing.assert_array_equal(read_labels, labels)


def test_the_last_shard_may_have_fewer_digits_and_none_is_empty(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "ROWS_PER_SHARD", 4)
    images, labels = np.zeros((9, 28, 28), np.uint8), np.arange(9)
    shards.write_shards(images, labels, tmp_path, "train")
    assert [len(each) for each in find_digits(str(tmp_path)).labels] == [4, 4, 1]
    assert shards.write_shards(images[:0], labels[:0], tmp_path, "test") == []
