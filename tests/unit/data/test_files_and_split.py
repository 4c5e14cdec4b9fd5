"""The split, and data that is refused before any worker starts."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from digits.config import DataConfig
from digits.data import batches
from digits.data.files import DigitFiles, find_digits
from digits.data.read import invert_batch, read_without_ray
from digits.data.split import Split, split_rows
from digits.errors import DataError


def images_column(images):
    return pa.FixedShapeTensorArray.from_numpy_ndarray(np.ascontiguousarray(images))


def write_digits(path, *, labels, images=None, **columns):
    images = np.zeros((len(labels), 28, 28), np.uint8) if images is None else images
    table = {"image": images_column(images), "label": pa.array(labels), **columns}
    pq.write_table(pa.table({name: column for name, column in table.items() if column is not None}), path)


def test_the_shipped_digits_are_all_of_mnist():
    files = find_digits()
    assert files.num_digits == 70_000
    assert len(files.paths) == 14
    # Counts of each digit in the 60,000 and the 10,000, as published.
    counts = np.bincount(np.concatenate(files.labels))
    assert counts.tolist() == [6903, 7877, 6990, 7141, 6824, 6313, 6876, 7293, 6825, 6958]


def test_the_split_is_exact_stratified_and_seeded():
    files = find_digits()
    validates = split_rows(files, DataConfig())
    labels = np.concatenate(files.labels)
    assert validates.sum() == 14_000
    shares = np.bincount(labels[validates]) / np.bincount(labels)
    assert np.abs(shares - 0.2).max() < 2e-4
    assert np.array_equal(validates, split_rows(files, DataConfig()))
    assert not np.array_equal(validates, split_rows(files, DataConfig(split_seed=1)))


def test_the_literatures_protocol_holds_out_the_original_ten_thousand():
    files = find_digits()
    validates = split_rows(files, DataConfig(protocol="literature"))
    assert validates.sum() == 10_000
    pairs = zip(files.paths, files.labels, strict=True)
    held_out = np.concatenate([labels for path, labels in pairs if "/test-" in path])
    assert np.array_equal(np.concatenate(files.labels)[validates], held_out)


def test_training_takes_every_row_of_its_side_or_some_evenly_spread(tmp_path):
    write_digits(tmp_path / "a.parquet", labels=[n % 10 for n in range(100)], images=digits_of_noise(100))
    split = Split.make(find_digits(str(tmp_path)), DataConfig(inverted_copies=False))
    rows = np.flatnonzero(split.trains)
    assert len(rows) == 80 and np.array_equal(np.unique(split.training().rows), rows)
    some = np.unique(split.training(9).rows)
    assert np.array_equal(some, rows[np.linspace(0, 79, 9).astype(int)])
    assert np.array_equal(np.unique(split.training(1000).rows), rows)


def test_labels_with_equal_claims_to_a_row_get_it_in_their_order(tmp_path):
    write_digits(tmp_path / "a.parquet", labels=[n % 10 for n in range(150)])
    validates = split_rows(find_digits(str(tmp_path)), DataConfig(validation_fraction=0.1))
    assert np.bincount(np.arange(150)[validates] % 10).tolist() == [2] * 5 + [1] * 5


def test_weights_that_cannot_be_had_are_refused_when_the_split_is_made(tmp_path):
    for name, count in (("few", 10), ("many", 90)):
        (tmp_path / name).mkdir()
        write_digits(
            tmp_path / name / "a.parquet", labels=[n % 10 for n in range(count)], images=digits_of_noise(count)
        )
    paths = (str(tmp_path / "few"), str(tmp_path / "many"))
    files = find_digits(paths)
    Split.make(files, DataConfig(path=paths, weights=(1, 1), validation_fraction=0.3))
    with pytest.raises(DataError):
        Split.make(files, DataConfig(path=paths, weights=(1e-9, 1), validation_fraction=0.3))


def test_what_describes_digits_is_made_by_name_and_stays_as_it_is():
    for described in (Split, DigitFiles, batches.Columns, batches.Stretch):
        assert described.__dataclass_params__.frozen
        with pytest.raises(TypeError, match="takes 1 positional argument"):
            described(0)
    assert not Split.__dataclass_params__.eq  # arrays have no one answer to whether they are equal


def test_the_fingerprint_is_of_the_whole_footer(tmp_path):
    fingerprints = set()
    for note in ("one", "two"):
        folder = tmp_path / note
        folder.mkdir()
        write_digits(folder / "a.parquet", labels=[1, 2, 3])
        table = pq.read_table(folder / "a.parquet")
        pq.write_table(
            table.replace_schema_metadata({**(table.schema.metadata or {}), "note": note}), folder / "a.parquet"
        )
        fingerprints.add((find_digits(str(folder)).fingerprint, (folder / "a.parquet").stat().st_size))
    assert len({fingerprint for fingerprint, _ in fingerprints}) == 2 and len({size for _, size in fingerprints}) == 1


def digits_of_noise(count):
    """So many different images."""
    return np.random.default_rng(count).integers(0, 256, (count, 28, 28), dtype=np.uint8)


def test_an_inverted_copy_follows_its_original():
    images = np.random.default_rng(0).integers(0, 256, (3, 28, 28), np.uint8)
    batch = invert_batch({"image": images, "label": np.array([4, 5, 6])})
    assert np.array_equal(batch["image"][::2], images)
    assert np.array_equal(batch["image"][1::2], 255 - images)
    assert batch["label"].tolist() == [4, 4, 5, 5, 6, 6]


def test_reading_gives_the_chosen_rows_in_file_order(tmp_path):
    images = np.arange(6, dtype=np.uint8)[:, None, None] * np.ones((28, 28), np.uint8)
    write_digits(tmp_path / "a.parquet", labels=[0, 1, 2], images=images[:3])
    write_digits(tmp_path / "b.parquet", labels=[3, 4, 5], images=images[3:])
    files = find_digits(str(tmp_path))
    chosen = np.array([True, False, True, False, True, False])
    read, labels = read_without_ray(files, chosen, inverted_copies=False)
    assert labels.tolist() == [0, 2, 4]
    assert read[:, 0, 0].tolist() == [0, 2, 4]


def test_of_a_large_file_only_the_row_groups_that_are_asked_for_are_read(tmp_path, monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (100, 28, 28), np.uint8)
    table = pa.table({"image": images_column(images), "label": pa.array(np.arange(100) % 10)})
    pq.write_table(table, tmp_path / "digits.parquet", row_group_size=10)
    groups = []
    read = pq.ParquetFile.read_row_group
    monkeypatch.setattr(
        pq.ParquetFile,
        "read_row_group",
        lambda file, group, **options: groups.append(group) or read(file, group, **options),
    )
    chosen = np.isin(np.arange(100), [0, 19, 20, 99])
    shown, labels = read_without_ray(find_digits(str(tmp_path)), chosen, inverted_copies=False)
    assert np.array_equal(shown, images[chosen])
    assert labels.tolist() == [0, 9, 0, 9]
    assert groups == [0, 1, 2, 9]


def test_a_job_holds_a_byte_a_label_whatever_the_file_has(tmp_path):
    write_digits(tmp_path / "digits.parquet", labels=np.arange(10, dtype=np.int64))
    (labels,) = find_digits(str(tmp_path)).labels
    assert labels.dtype == np.uint8
    assert labels.tolist() == list(range(10))


def test_equal_data_has_an_equal_fingerprint_and_other_data_another(tmp_path):
    for folder, labels in (("one", [0, 1]), ("two", [0, 1]), ("three", [1, 0])):
        (tmp_path / folder).mkdir()
        write_digits(tmp_path / folder / "digits.parquet", labels=labels)
    one, two, three = (find_digits(str(tmp_path / name)).fingerprint for name in ("one", "two", "three"))
    assert one == two != three


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"label": None, "labels": pa.array([1, 2])}, "no column 'label'"),
        ({"image": None}, "no column 'image'"),
        ({"image": images_column(np.zeros((2, 28, 28), np.float32))}, "column 'image' holds float"),
        ({"image": images_column(np.zeros((2, 32, 32), np.uint8))}, "column 'image' has shape 32x32"),
        ({"image": pa.array([b"png", b"png"])}, "column 'image' has type binary"),
        ({"label": pa.array(["1", "2"])}, "column 'label' has type string"),
        ({"label": pa.array([1, 10])}, "column 'label' is 10 in row 1"),
        ({"label": pa.array([-1, 1])}, "column 'label' is -1 in row 0"),
        ({"label": pa.array([1, None])}, "column 'label' has 1 missing"),
    ],
)
def test_wrong_columns_are_refused_with_file_and_column(tmp_path, columns, words):
    write_digits(tmp_path / "good.parquet", labels=[1, 2])
    table = {"image": images_column(np.zeros((2, 28, 28), np.uint8)), "label": pa.array([1, 2]), **columns}
    wrong = pa.table({name: column for name, column in table.items() if column is not None})
    pq.write_table(wrong, tmp_path / "wrong.parquet")
    with pytest.raises(DataError) as error:
        find_digits(str(tmp_path))
    assert "wrong.parquet" in str(error.value)
    assert words in str(error.value)
    assert "expected: " in str(error.value)
    assert "what to do: " in str(error.value)


def test_a_truncated_shard_is_refused_by_name(tmp_path):
    write_digits(tmp_path / "digits.parquet", labels=[1, 2])
    whole = (tmp_path / "digits.parquet").read_bytes()
    (tmp_path / "digits.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"digits\.parquet cannot be read"):
        find_digits(str(tmp_path))


def test_a_folder_without_parquet_files_is_refused(tmp_path):
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(DataError, match="no Parquet files"):
            find_digits(str(folder))


def test_a_split_with_an_empty_side_is_refused(tmp_path):
    write_digits(tmp_path / "digits.parquet", labels=[1])
    files = find_digits(str(tmp_path))
    with pytest.raises(DataError, match="validation side"):
        split_rows(files, DataConfig())
    with pytest.raises(DataError, match="test-"):
        split_rows(files, DataConfig(protocol="literature"))


@pytest.mark.parametrize(("count", "words"), [(2, "no digit is left for the validation"), (5, "one digit is left")])
def test_too_few_digits_to_validate_with_are_refused(tmp_path, count, words):
    write_digits(tmp_path / "few.parquet", labels=np.zeros(count, np.int64))
    with pytest.raises(DataError, match=words):
        split_rows(find_digits(str(tmp_path)), DataConfig())


def test_two_digits_are_enough_to_validate_with(tmp_path):
    write_digits(tmp_path / "few.parquet", labels=np.zeros(10, np.int64))
    assert split_rows(find_digits(str(tmp_path)), DataConfig()).sum() == 2
