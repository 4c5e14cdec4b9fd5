"""Sources mixed by weights: shares are exact, small sources are repeated, and no digit is on both sides."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from digits.config import DataConfig
from digits.data import files as files_module
from digits.data.files import find_digits
from digits.data.mixture import TrainingRows, mask_of, repeated, shares_of
from digits.data.read import read_without_ray
from digits.data.shards import write_shards
from digits.data.split import Split, split_rows
from digits.errors import ConfigurationError, DataError


def rows_of_epoch(training, batch_size, world_size=1, seed=0, epoch=0, copies=False):
    """Rows of the originals in each batch of an epoch, by all workers, and how often each worker's share has a row."""
    columns = training.columns(batch_size, inverted_copies=copies)
    size = 2 if copies else 1
    batches = [[] for _ in range(columns.steps_per_epoch)]
    for rank in range(world_size):
        mine = columns.of_worker(rank, world_size)
        rows = training.of_groups(mine.owned_groups)
        for batch, step in zip(batches, mine.order(seed, epoch), strict=True):
            batch += [int(rows[row // size]) for row in step if row >= 0]
    assert [len(batch) for batch in batches] == columns.batch_sizes().tolist()
    return batches


def two(small=30, large=200, weights=(1.0, 1.0), most=None):
    return TrainingRows.weighted([np.arange(small), small + np.arange(large)], weights, ["mine", "mnist"], most)


@given(
    sizes=st.lists(st.integers(1, 60), min_size=2, max_size=4),
    weights=st.lists(st.integers(1, 9), min_size=4, max_size=4),
    batch_size=st.integers(1, 40),
    world_size=st.integers(1, 4),
)
def test_every_epoch_has_the_shares_whatever_the_number_of_workers(sizes, weights, batch_size, world_size):
    weights, firsts = weights[: len(sizes)], np.cumsum([0, *sizes])
    shares = shares_of(sum(sizes), weights)
    if not all(shares):
        return
    sources = [first + np.arange(size) for first, size in zip(firsts, sizes, strict=False)]
    training = TrainingRows.weighted(sources, weights, ["any"] * len(sizes), None)
    for epoch in (0, 1):
        batches = rows_of_epoch(training, batch_size, epoch=epoch)
        counts = np.bincount(np.concatenate(batches), minlength=sum(sizes))
        for first, size, share in zip(firsts, sizes, shares, strict=False):
            of_source = counts[first : first + size]
            assert of_source.sum() == share
            assert of_source.max() - of_source.min() <= 1
        others = rows_of_epoch(training, batch_size, world_size, epoch=epoch)
        assert [sorted(batch) for batch in batches] == [sorted(batch) for batch in others]


def test_every_batch_has_its_share_of_each_source():
    batches = rows_of_epoch(two(weights=(1, 3)), 40)
    shares = [sum(row < 30 for row in batch) / len(batch) for batch in batches[:-1]]
    assert len(shares) > 4 and all(abs(share - 0.25) < 1.01 / 40 for share in shares)


def test_a_large_source_is_drawn_anew_in_every_epoch_and_a_small_one_repeated():
    training = two()
    epochs = [
        np.bincount(np.concatenate(rows_of_epoch(training, 8, epoch=epoch)), minlength=230) for epoch in range(12)
    ]
    assert [epoch.sum() for epoch in epochs] == [230] * 12
    assert all(set(epoch[:30]) == {3, 4} and set(epoch[30:]) == {0, 1} for epoch in epochs)
    assert not np.array_equal(epochs[0], epochs[1])
    assert (sum(epochs)[30:] > 0).all(), "every digit is drawn in some epoch"
    again, other_seed = rows_of_epoch(training, 8, epoch=5), rows_of_epoch(training, 8, epoch=5, seed=1)
    assert again == rows_of_epoch(training, 8, epoch=5) != other_seed


def test_a_digit_and_its_inverted_copy_are_drawn_together():
    training = two()
    columns = training.columns(8, inverted_copies=True)
    rows = columns.order(0, 0)
    drawn = np.bincount(rows[rows >= 0], minlength=2 * len(training.rows)).reshape(-1, 2)
    assert np.array_equal(drawn[:, 0], drawn[:, 1]) and drawn[:, 0].sum() == 230


def test_a_weight_of_nothing_leaves_a_source_out_of_training():
    training = two(weights=(1, 0))
    assert np.array_equal(training.rows, np.arange(30))
    assert sorted(np.concatenate(rows_of_epoch(training, 8))) == list(range(30))


def test_a_search_takes_some_in_the_same_shares_and_the_same_ones_in_every_epoch():
    training = two(weights=(1, 3), most=80)
    counts = np.bincount(training.rows, minlength=230)
    assert (counts[:30].sum(), counts[30:].sum()) == (20, 60) and counts.max() == 1
    first, second = (np.bincount(np.concatenate(rows_of_epoch(training, 8, epoch=epoch))) for epoch in (0, 1))
    assert np.array_equal(first, second)


@pytest.mark.parametrize(("small", "weights"), [(0, (1, 1)), (3, (1e-9, 1))])
def test_a_source_of_which_no_digit_would_be_shown_is_refused(small, weights):
    with pytest.raises(DataError, match="training digits of mine are shown"):
        two(small=small, weights=weights)


@given(total=st.integers(0, 1000), weights=st.lists(st.floats(1e-300, 1e300), min_size=1, max_size=5))
def test_parts_are_whole_and_add_up(total, weights):
    parts = shares_of(total, weights)
    assert sum(parts) == total and min(parts) >= 0
    assert shares_of(230, [1, 3]) == [58, 172] and shares_of(10, [0.3, 0.7]) == [3, 7]


@pytest.mark.parametrize("copies", [False, True])
def test_what_is_read_once_is_repeated_as_the_rows_say(copies):
    rows = np.array([1, 1, 3, 4, 4, 4])
    images = np.arange(5, dtype=np.uint8)[:, None, None] * np.ones((28, 28), np.uint8)
    read = images[mask_of(rows, 5)], np.arange(5)[mask_of(rows, 5)]
    if copies:
        read = np.stack([read[0], 255 - read[0]], 1).reshape(-1, 28, 28), np.repeat(read[1], 2)
    shown, labels = repeated(read, rows, inverted_copies=copies)
    step = 2 if copies else 1
    assert shown[::step, 0, 0].tolist() == labels[::step].tolist() == rows.tolist()
    assert not copies or np.array_equal(shown[1::2], 255 - shown[::2])


@pytest.fixture
def mine(tmp_path, read_mnist):
    """A folder of 100 digits: 90 of MNIST's that tiny_mnist lacks, and 10 that it has."""
    images, labels = read_mnist("train-00-of-12")
    (tmp_path / "mine").mkdir()
    write_shards(images[590:690], labels[590:690], tmp_path / "mine", "train")
    return str(tmp_path / "mine")


def test_each_source_is_split_as_it_is_alone_and_its_fingerprint_is_kept(mine, tiny_mnist):
    alone, other = find_digits(mine), find_digits(tiny_mnist)
    both = find_digits((mine, tiny_mnist))
    assert both.num_digits == 700 and both.fingerprint == f"{alone.fingerprint}+{other.fingerprint}"
    assert [(name, rows.stop) for name, rows in both.rows_of_sources()] == [(mine, 100), (tiny_mnist, 700)]
    config = DataConfig()
    expected = np.concatenate([split_rows(alone, config), split_rows(other, config)])
    np.testing.assert_array_equal(split_rows(both, config), expected)
    images, labels = read_without_ray(both, np.ones(700, bool), inverted_copies=False)
    first, _ = read_without_ray(alone, np.ones(100, bool), inverted_copies=False)
    np.testing.assert_array_equal(images[:100], first)
    np.testing.assert_array_equal(labels[100:], np.concatenate(other.labels))
    split = Split.make(find_digits((mine, tiny_mnist)), DataConfig(protocol="literature"))
    assert split.files.of_sources(split.validates) == {mine: 0, tiny_mnist: 200}


def test_no_picture_is_on_both_sides_even_where_two_sources_have_it(mine, tiny_mnist):
    files = find_digits((mine, tiny_mnist))
    split = Split.make(files, DataConfig(weights=(3, 1), path=(mine, tiny_mnist)))
    left_out = ~split.trains & ~split.validates
    assert left_out.any(), "some of the ten are on both sides otherwise"
    images, _ = read_without_ray(files, np.ones(700, bool), inverted_copies=False)
    held_out = {image.tobytes() for image in images[split.validates]}
    assert not held_out & {images[row].tobytes() for row in split.training().rows}
    assert all(image.tobytes() in held_out for image in images[left_out])
    shown = np.concatenate(rows_of_epoch(split.training(), 16))
    assert (shown < 100).mean() == pytest.approx(0.75, abs=1 / len(shown))


def test_equal_sources_are_refused(mine, tiny_mnist, tmp_path):
    (tmp_path / "mine").rename(tmp_path / "one")
    (tmp_path / "two").mkdir()
    for file in (tmp_path / "one").iterdir():
        (tmp_path / "two" / file.name).write_bytes(file.read_bytes())
    with pytest.raises(DataError, match=r"one and .*two hold the same files"):
        find_digits((str(tmp_path / "one"), tiny_mnist, str(tmp_path / "two")))


def test_mnist_names_the_shipped_digits(mine, tiny_mnist, monkeypatch):
    monkeypatch.setattr(files_module, "find_mnist", lambda: tiny_mnist)
    assert find_digits("mnist").fingerprint == find_digits().fingerprint == find_digits(tiny_mnist).fingerprint
    assert [name for name, _ in find_digits((mine, "mnist")).sources] == [mine, "mnist"]


@pytest.mark.parametrize(
    ("path", "weights", "told"),
    [
        (("a", "b"), (1,), r"1 weights \(1\) for 2 sources"),
        (("a", "b"), (), r"0 weights \(\) for 2 sources"),
        ("a", (1,), r"1 weights \(1\) for 1 sources"),
        (None, (1, 1), "for 0 sources"),
        (("a", "b"), (1, -1), "--weights 1 -1"),
        (("a", "b"), (0, 0), "--weights 0 0"),
        (("a", "b"), (1, float("nan")), "--weights 1 nan"),
        (("a", "b"), (1, float("inf")), "--weights 1 inf"),
        (("a", "b", "a"), None, "names a folder twice"),
    ],
)
def test_weights_that_say_nothing_are_refused(path, weights, told):
    with pytest.raises(ConfigurationError, match=told):
        DataConfig(path=path, weights=weights)


def test_a_configuration_is_the_same_from_a_command_line_and_from_json():
    assert DataConfig(path=["a"]) == DataConfig(path="a") == DataConfig(path=("a",))
    assert DataConfig(path=["a", "b"], weights=[1, 2]) == DataConfig(path=("a", "b"), weights=(1.0, 2.0))
    assert DataConfig(path=[]) == DataConfig()


def test_files_of_several_places_are_read_each_from_its_own(mine, tiny_mnist):
    bucket = pa.fs.SubTreeFileSystem(mine, pa.fs.LocalFileSystem())
    files = find_digits((mine, tiny_mnist))
    elsewhere = [path.removeprefix(f"{mine}/") for path in files.paths]
    moved = type(files)(
        **{
            **vars(files),
            "paths": tuple(elsewhere),
            "filesystems": (bucket, *files.filesystems[1:]),
        }
    )
    assert moved.local_paths == files.paths[1:]
    everything = np.ones(700, bool)
    for before, after in zip(
        read_without_ray(files, everything, inverted_copies=False),
        read_without_ray(moved, everything, inverted_copies=False),
        strict=True,
    ):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("copies", [True, False])
def test_a_negative_is_the_same_digit_where_each_side_has_inverted_copies(tmp_path, read_mnist, copies):
    images, labels = read_mnist("train-00-of-12")
    for name, pictures, rows in (("light", images, np.arange(50)), ("dark", 255 - images, np.arange(50)[::-1])):
        (tmp_path / name).mkdir()
        write_shards(pictures[rows], labels[rows], tmp_path / name, "train")
    paths = (str(tmp_path / "light"), str(tmp_path / "dark"))
    split = Split.make(find_digits(paths), DataConfig(path=paths, inverted_copies=copies))
    digits = np.concatenate([images[:50], 255 - images[:50][::-1]])
    held_out = {image.tobytes() for image in digits[split.validates]}
    trained = list(digits[split.trains])
    assert not held_out & {image.tobytes() for image in trained}
    assert bool(held_out & {(255 - image).tobytes() for image in trained}) == (not copies)


def test_sources_that_leave_no_digit_to_train_on_are_refused(tmp_path, read_mnist):
    images, labels = read_mnist("train-00-of-12")
    for name, rows in (("one", [0] * 10), ("two", [0] * 12)):
        (tmp_path / name).mkdir()
        write_shards(images[rows], labels[rows], tmp_path / name, "train")
    paths = (str(tmp_path / "one"), str(tmp_path / "two"))
    with pytest.raises(DataError, match="no digit is left for the training side"):
        Split.make(find_digits(paths), DataConfig(path=paths))
