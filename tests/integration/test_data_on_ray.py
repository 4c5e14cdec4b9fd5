"""The data path on Ray Data: no digit on both sides, negatives beside their originals, equal every time."""

import numpy as np
import pytest
import ray

from digits.augmentation.page_digits import make_shapes
from digits.config import OUTLIER, DataConfig, TrainingConfig
from digits.data.batches import Columns
from digits.data.distorted import iterate_epochs
from digits.data.files import find_digits
from digits.data.mixture import mask_of, repeated
from digits.data.read import concatenate, read_digits, read_sides, read_without_ray
from digits.data.shards import write_shards
from digits.data.split import Split, split_rows
from digits.training.reader import squares
from digits.training.reader.run import PageTraining

pytestmark = pytest.mark.usefixtures("cluster")


def both_sides(path):
    files = find_digits(path)
    validates = split_rows(files, DataConfig())
    return files, validates, read_sides(files, ~validates, validates, inverted_copies=True)


def test_no_digit_and_no_negative_is_on_both_sides(tiny_mnist):
    _, _, ((train, _), (validation, _)) = both_sides(tiny_mnist)
    assert (len(train), len(validation)) == (960, 240)
    seen = {image.tobytes() for image in train}
    assert not seen & {image.tobytes() for image in validation}
    assert not seen & {(255 - image).tobytes() for image in validation}


def test_ray_reads_what_one_process_reads(tiny_mnist):
    files, validates, (_, (images, labels)) = both_sides(tiny_mnist)
    expected_images, expected_labels = read_without_ray(files, validates, inverted_copies=True)
    assert np.array_equal(images, expected_images)
    assert np.array_equal(labels, expected_labels)
    assert np.array_equal(images[1::2], 255 - images[::2])


def test_the_shipped_digits_are_read_in_parallel():
    files = find_digits()
    dataset = read_digits(files, np.ones(files.num_digits, bool)).materialize()
    assert dataset.num_blocks() >= 14
    assert dataset.count() == 70_000


def distorted(path, world_size, first=0, epochs=3, seed=0, outliers=0.0):
    """All epochs of all workers, put together in the order of the rows."""
    files = find_digits(path)
    parts = []
    for rank in range(world_size):
        columns = Columns(
            num_groups=files.num_digits, group_size=2, global_batch_size=16, rank=rank, world_size=world_size
        )
        digits = read_without_ray(
            files, mask_of(np.array(columns.owned_groups), files.num_digits), inverted_copies=True
        )
        config = TrainingConfig(epochs=epochs, seed=seed, distort=True, outliers=outliers)
        parts.append(list(iterate_epochs(digits, columns, inverted_copies=True, config=config, first=first)))
    return [concatenate(of_epoch) for of_epoch in zip(*parts, strict=True)]


def test_distorted_digits_differ_in_every_epoch_and_are_the_same_for_any_number_of_workers(tiny_mnist):
    alone, shared = distorted(tiny_mnist, 1), distorted(tiny_mnist, 3)
    for (images, labels), (shared_images, shared_labels) in zip(alone, shared, strict=True):
        assert np.array_equal(images, shared_images)
        assert np.array_equal(labels, shared_labels)
        assert np.array_equal(images[1::2], 255 - images[::2])
    assert not np.array_equal(alone[0][0], alone[1][0])
    resumed = distorted(tiny_mnist, 1, first=2)
    assert np.array_equal(resumed[0][0], alone[2][0])


def test_some_digits_of_each_epoch_give_way_to_what_is_none_the_same_for_any_number_of_workers(tiny_mnist):
    (_, truth), *_ = distorted(tiny_mnist, 1)
    alone, shared = (distorted(tiny_mnist, size, outliers=0.25) for size in (1, 3))
    gone = []
    for (images, labels), (shared_images, shared_labels) in zip(alone, shared, strict=True):
        assert np.array_equal(images, shared_images) and np.array_equal(labels, shared_labels)
        assert np.array_equal(labels[1::2], labels[::2]) and np.array_equal(images[1::2], 255 - images[::2])
        gone.append(labels == OUTLIER)
        assert np.array_equal(labels[~gone[-1]], truth[~gone[-1]])
        assert gone[-1].mean() == pytest.approx(0.25, abs=0.06)  # three standard deviations of 600 digits
    assert not np.array_equal(gone[0], gone[1])


def test_without_distortion_every_epoch_is_the_same(tiny_mnist):
    files = find_digits(tiny_mnist)
    columns = Columns(num_groups=600, group_size=1, global_batch_size=16)
    digits = read_without_ray(files, np.ones(600, bool), inverted_copies=False)
    first, second = iterate_epochs(digits, columns, inverted_copies=False, config=TrainingConfig(epochs=2), first=0)
    assert first[0] is second[0]
    assert len(first[0]) == 600


def batches_of_mixture(split, world_size, epoch):
    """The pictures of each batch of an epoch, distorted, as so many workers read and make them on Ray."""
    training = split.training()
    config = TrainingConfig(epochs=epoch + 1, distort=True)
    batches = None
    for rank in range(world_size):
        columns = training.columns(24, inverted_copies=True).of_worker(rank, world_size)
        rows = training.of_groups(columns.owned_groups)
        read, _ = read_sides(split.files, mask_of(rows, 500), np.zeros(500, bool), inverted_copies=True)
        mine = repeated(read, rows, inverted_copies=True)
        (epoch_digits,) = iterate_epochs(mine, columns, inverted_copies=True, config=config, first=epoch)
        shown = [[epoch_digits[0][row].tobytes() for row in step if row >= 0] for step in columns.order(0, epoch)]
        batches = shown if batches is None else [one + other for one, other in zip(batches, shown, strict=True)]
    return [sorted(batch) for batch in batches]


def test_a_mixture_is_the_same_for_any_number_of_workers_and_its_copies_are_distorted_apart(tmp_path, read_mnist):
    images, labels = read_mnist("train-00-of-12")
    for name, rows in (("mine", slice(0, 50)), ("more", slice(50, 500))):
        (tmp_path / name).mkdir()
        write_shards(images[rows], labels[rows], tmp_path / name, "train")
    paths = (str(tmp_path / "mine"), str(tmp_path / "more"))
    split = Split.make(find_digits(paths), DataConfig(path=paths, weights=(1, 1)))
    assert [(each.drawn, each.held) for each in split.training().stretches] == [(200, 200), (200, 360)]
    alone = batches_of_mixture(split, 1, 1)
    assert alone == batches_of_mixture(split, 3, 1)
    assert len({picture for batch in alone for picture in batch}) == 800, "no two copies are equal"


@pytest.mark.parametrize("copies", [True, False])
def test_a_worker_without_digits_has_distorted_epochs_too(copies):
    """Of one digit for two workers, one has none."""
    columns = Columns.of(1, 2, inverted_copies=copies).of_worker(1, 2)
    none = np.zeros((0, 28, 28), np.uint8), np.zeros(0, np.int64)
    config = TrainingConfig(epochs=3, distort=True)
    epochs = list(iterate_epochs(none, columns, inverted_copies=copies, config=config, first=0))
    assert [len(images) for images, _ in epochs] == [0, 0, 0]


def test_squares_for_the_page_network_come_in_the_order_of_their_numbers(read_mnist):
    shapes = make_shapes(*(array[:40] for array in read_mnist("train-00-of-12")), np.random.default_rng(0))
    config = PageTraining(epochs=1, squares_per_epoch=96)
    dataset = squares.squares(config, ray.put(shapes), 0, 0, 1)
    assert dataset.context.execution_options.preserve_order
    made = [maps for batch in squares.batches(dataset, 16) for maps in batch["maps"]]
    for number in (0, 31, 32, 70, 95):
        assert np.array_equal(made[number], squares.prepared_square(shapes, config.seed, number)["maps"])
