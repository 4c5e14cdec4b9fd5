"""jobs/make_shards.py: digits of any form become shards that training takes; what is odd about them is told."""

import csv
from pathlib import Path

import numpy as np
import pytest

from digits.commands.shards import checks, making
from digits.commands.shards.making import MakeShardsSettings, make_shards
from digits.commands.shards.pictures import Picture, part_of, prepare_all, prepare_one, read_part
from digits.data.files import find_digits
from digits.data.read import read_without_ray
from digits.errors import ConfigurationError, DataError
from digits.evaluation.simulated_photos import PhotoConditions, photo_set
from digits.images import encode_png
from digits.storage import Storage
from tests.unit.data.test_sources import write_idx


@pytest.fixture(scope="module")
def some(read_mnist):
    images, labels = read_mnist("train-11-of-12")
    return images[:300], labels[:300]


def npz(folder, images, labels, **test):
    np.savez(folder / "mine.npz", x_train=images, y_train=labels, **test)
    return str(folder / "mine.npz")


def shards_of(folder):
    files = find_digits(str(folder))
    return read_without_ray(files, np.ones(files.num_digits, bool), inverted_copies=False)


def test_digits_become_shards_that_training_takes(some, tmp_path, capsys):
    images, labels = some
    source = npz(tmp_path, images[:200], labels[:200], x_test=images[200:], y_test=labels[200:])
    document = make_shards(MakeShardsSettings(sources=(source,), output=tmp_path / "out"))
    assert (document["digits"], document["held_out"], document["inverted"]) == (300, 100, 0)
    assert document["files"] == ["train-00-of-01.parquet", "test-00-of-01.parquet"]
    files = find_digits(str(tmp_path / "out"))
    assert [len(each) for each in files.labels] == [100, 200]
    read, of = shards_of(tmp_path / "out")
    np.testing.assert_array_equal(read, np.concatenate([images[200:], images[:200]]))
    np.testing.assert_array_equal(of, np.concatenate([labels[200:], labels[:200]]))
    assert f"--data {tmp_path / 'out'}" in capsys.readouterr().out


def test_dark_on_light_is_turned_and_told_with_its_row(some, tmp_path, capsys):
    images, labels = some
    mixed = images.copy()
    mixed[[3, 7]] = 255 - mixed[[3, 7]]
    document = make_shards(MakeShardsSettings(sources=(npz(tmp_path, mixed, labels),), output=tmp_path / "out"))
    assert document["inverted"] == 2
    np.testing.assert_array_equal(shards_of(tmp_path / "out")[0], images)
    assert "2 of 300 digits of" in (shown := capsys.readouterr().out) and "train row 3" in shown


def test_equal_pictures_and_labels_that_look_wrong_are_told_with_their_rows(some, tmp_path):
    images, labels = some
    labels = labels.copy()
    wrong = int(np.flatnonzero(labels == 1)[0])
    labels[wrong] = 8
    test = {"x_test": images[[5, 6]], "y_test": [labels[5], (labels[6] + 1) % 10]}
    source = npz(tmp_path, images, labels, **test)
    document = make_shards(MakeShardsSettings(sources=(source,), output=tmp_path / "out"))
    assert document["repeated"] == 2 and document["suspicious"] >= 2
    with (tmp_path / "out" / "findings.csv").open() as table:
        rows = list(csv.DictReader(table))
    repeated = {row["where"].rpartition(", ")[2]: row["what"] for row in rows if row["kind"] == "repeated"}
    assert repeated["test row 0"].endswith("train row 5, on the other side of the split")
    assert f"which is labelled {labels[6]}" in repeated["test row 1"]
    suspicious = {row["where"].rpartition(", ")[2]: row["what"] for row in rows if row["kind"] == "suspicious"}
    assert suspicious[f"train row {wrong}"].startswith("looks like 1")


def test_digits_that_lie_transposed_are_refused_with_the_remedy(some, tmp_path):
    images, labels = some
    source = npz(tmp_path, images.transpose(0, 2, 1), labels)
    with pytest.raises(DataError, match="lie transposed") as refused:
        make_shards(MakeShardsSettings(sources=(source,), output=tmp_path / "out"))
    assert "--transposed" in refused.value.remedy
    make_shards(MakeShardsSettings(sources=(source,), output=tmp_path / "out", transposed=True))
    np.testing.assert_array_equal(shards_of(tmp_path / "out")[0], images)


def test_what_cannot_be_is_refused_before_anything_is_written(some, tmp_path):
    source = npz(tmp_path, *some)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "train-0.parquet").write_bytes(b"")
    for settings, told in (
        (MakeShardsSettings(sources=(), output=tmp_path / "out"), "no sources"),
        (MakeShardsSettings(sources=(source,), output=tmp_path / "full"), "there are shards in"),
        (MakeShardsSettings(sources=(str(tmp_path / "nowhere"),), output=tmp_path / "out"), "there is no"),
    ):
        with pytest.raises(ConfigurationError, match=told):
            make_shards(settings)
    assert not (tmp_path / "out").exists()


def test_a_folder_of_files_is_taken_whole(tmp_path):
    write_idx(tmp_path, True)
    write_idx(tmp_path, True, "t10k-images-idx3-ubyte")
    sources, pictures = making.find_sources((str(tmp_path),))
    assert [source.held_out for source in sources] == [True, False] and not pictures


def test_repetitions_are_found_wherever_they_stand():
    images = np.random.default_rng(0).integers(0, 256, (6, 28, 28), np.uint8)
    images[4], images[5] = images[1], images[1]
    assert [group.tolist() for group in checks.repetitions(images)] == [[1, 4, 5]]
    assert checks.repetitions(images[:4]) == [] == checks.repetitions(images[:0])


@pytest.fixture
def pictures(some, tmp_path):
    """Photos of digits, and a blank and a broken one among them."""
    found = []
    for number, photo in enumerate(photo_set(some[0][:6], 0, PhotoConditions())):
        found.append((encode_png(photo), int(some[1][number])))
    found[2] = encode_png(np.full((90, 70), 220, np.uint8)), 2
    found[4] = b"no picture", 4
    paths = []
    for number, (data, label) in enumerate(found):
        path = tmp_path / f"{number}.png"
        path.write_bytes(data)
        paths.append(Picture(where=str(path), path=path, label=label, held_out=False))
    return paths


def test_pictures_are_prepared_in_order_and_what_is_done_is_kept(pictures, tmp_path, monkeypatch):
    from digits.commands.shards import pictures as module

    asked = []

    def here(all_pictures, places):
        asked.extend(places)
        return (prepare_one(all_pictures[place]) for place in places)

    monkeypatch.setattr(module, "A_PART", 2)
    monkeypatch.setattr(module, "prepared_on_ray", here)
    parts, told = Storage.open(tmp_path / "parts"), []
    done = prepare_all(pictures, parts, told.append)
    assert [bool(reason) for reason in done.reasons] == [False, False, True, False, True, False]
    assert done.reasons[2] == "blank" and done.reasons[4]
    assert done.images[0].any() and not done.images[2].any() and told == list(range(7))
    assert len(parts.files()) == 3
    (tmp_path / "parts" / parts.files()[1]).unlink()
    asked.clear()
    again = prepare_all(pictures, parts, told.append)
    assert asked == [2, 3] and again.reasons == done.reasons
    np.testing.assert_array_equal(again.images, done.images)


def test_a_part_is_kept_as_it_is():
    images = np.random.default_rng(0).integers(0, 256, (3, 28, 28), np.uint8)
    read, reasons = read_part(part_of(images, ["", "blank", ""]))
    np.testing.assert_array_equal(read, images)
    assert reasons == ["", "blank", ""]


def test_mnists_own_digits_are_added_as_they_are_and_hide_nothing(some, tmp_path, tiny_mnist, monkeypatch):
    monkeypatch.setattr(making, "find_mnist", lambda: Path(tiny_mnist))
    images, labels = some
    source = npz(tmp_path, images.transpose(0, 2, 1), labels)
    with pytest.raises(DataError, match="lie transposed"):
        make_shards(MakeShardsSettings(sources=(source,), output=tmp_path / "out", with_mnist=True))
    document = make_shards(
        MakeShardsSettings(sources=(source,), output=tmp_path / "out", transposed=True, with_mnist=True)
    )
    assert (document["digits"], document["held_out"]) == (900, 200)
    read, _ = shards_of(tmp_path / "out")
    shipped, _ = shards_of(tiny_mnist)
    np.testing.assert_array_equal(read[200:500], images)
    np.testing.assert_array_equal(read[500:], shipped[200:])
    assert not (tmp_path / "out" / "parts").exists()


def test_a_folder_of_labelled_pictures_is_one_whatever_table_lies_beside_them(pictures, tmp_path):
    (tmp_path / "labels.csv").write_text("file,label\n0.png,1\n")
    (tmp_path / "notes.csv").write_text("who,when\nme,today\n")
    sources, found = making.find_sources((str(tmp_path),))
    assert not sources and [picture.label for picture in found] == [1]


def test_a_picture_that_was_changed_is_prepared_anew(pictures, tmp_path, monkeypatch):
    from digits.commands.shards import pictures as module

    asked = []

    def here(all_pictures, places):
        asked.append(len(places))
        return (prepare_one(all_pictures[place]) for place in places)

    monkeypatch.setattr(module, "prepared_on_ray", here)
    parts = Storage.open(tmp_path / "parts")
    prepare_all(pictures, parts, lambda count: None)
    prepare_all(pictures, parts, lambda count: None)
    pictures[0].path.write_bytes(pictures[1].path.read_bytes() + b"\0")
    prepare_all(pictures, parts, lambda count: None)
    assert asked == [6, 0, 6]


def test_sources_without_a_digit_are_told(tmp_path):
    np.savez(tmp_path / "none.npz", x_train=np.zeros((0, 28, 28), np.uint8), y_train=np.zeros(0, np.uint8))
    with pytest.raises(ConfigurationError, match="no digit is left"):
        make_shards(MakeShardsSettings(sources=(str(tmp_path / "none.npz"),), output=tmp_path / "out"))
