"""Every form of digits that the documents name a command for: written as people write it, made into shards, read."""

import gzip
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tyro
from PIL import Image

from digits import cluster
from digits.commands.shards import making, pictures
from digits.commands.shards.making import MakeShardsSettings, find_sources, make_shards
from digits.data.files import find_digits
from digits.data.read import read_without_ray
from digits.data.sources import read_file
from digits.errors import DataError
from tests.unit.data.test_sources import idx
from tests.unit.pages import DOCS, section_of

DOCUMENTED = re.findall(
    r"^python jobs/make_shards.py (.+?) --output my_shards", section_of(DOCS / "training.md", "your-own-digits"), re.M
)
SHEET = "photo_of_sheet.jpg"
"""Tried in test_make_sheet.py."""
COMMANDS = [command for command in DOCUMENTED if command != SHEET]
COUNT = 60
WORDS = ("nine", "zero", "two", "three", "four", "five", "six", "seven", "eight", "one")
"""Names of the classes of words.parquet, as tests/unit/data/write_datasets.py has them."""


@pytest.fixture(scope="module")
def some(read_mnist):
    images, labels = read_mnist("train-11-of-12")
    return np.ascontiguousarray(images[:COUNT]), labels[:COUNT]


@pytest.fixture(scope="module")
def by_datasets(some, tmp_path_factory):
    """A folder of what the package datasets wrote of some digits."""
    folder = tmp_path_factory.mktemp("by_datasets")
    np.savez(folder / "digits.npz", images=some[0], labels=some[1])
    script = Path(__file__).parents[1] / "data" / "write_datasets.py"
    environment = {**os.environ, "HF_HOME": str(folder / "home"), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, str(script), str(folder / "digits.npz"), str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


def write_form(name, folder, images, labels):
    """Write digits at a name that the documents use, as those who publish such files do."""
    path = folder / name
    if name == "mnist.npz":
        np.savez(path, x_train=images, y_train=labels.astype(np.uint8), x_test=images[:0], y_test=labels[:0])
    elif name == "train.csv":
        table = pd.DataFrame(images.reshape(-1, 784), columns=[f"pixel{number}" for number in range(784)])
        table.insert(0, "label", labels)
        table.to_csv(path, index=False)
    elif name in ("idx_files", "emnist"):
        path.mkdir()
        stem = "emnist-digits-train" if name == "emnist" else "train"
        shown = images.transpose(0, 2, 1) if name == "emnist" else images
        for kind, array in (("images-idx3", shown), ("labels-idx1", labels.astype(np.uint8))):
            (path / f"{stem}-{kind}-ubyte.gz").write_bytes(gzip.compress(idx(np.ascontiguousarray(array))))
    else:
        rows = []
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            file = path / (f"{number:03d}.png" if name == "my_list" else f"{label}/{number:03d}.png")
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(file)
            rows.append((file.name, label))
        if name == "my_list":
            pd.DataFrame(rows, columns=["file", "label"]).to_csv(path / "labels.csv", index=False)


def in_any_order(images, labels, times=1):
    """Digits, several times, in one order, whichever they are in: by label, then by their ink."""
    images, labels = np.repeat(images, times, axis=0), np.repeat(labels, times)
    order = np.lexsort((images.reshape(len(images), -1).sum(1), labels))
    return images[order].astype(int), labels[order]


def test_each_form_has_one_documented_command():
    words = [command.split()[0] for command in COMMANDS]
    forms = ["my_photos", "my_list", "mnist.npz", "train.csv", "idx_files", "emnist", "digits.parquet", "my_dataset"]
    assert words[: len(forms)] == forms and DOCUMENTED.count(SHEET) == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_a_form_becomes_digits_that_training_reads_by_its_documented_command(
    command, some, by_datasets, tmp_path, tiny_mnist, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(making, "find_mnist", lambda: Path(tiny_mnist))
    monkeypatch.setattr(cluster, "connect", lambda: None)
    monkeypatch.setattr(
        pictures, "prepared_on_ray", lambda all_, places: (pictures.prepare_one(all_[n]) for n in places)
    )
    for name in command.split():
        if (by_datasets / name).exists():
            (tmp_path / name).symlink_to(by_datasets / name)
        elif not name.startswith("--"):
            write_form(name, tmp_path, *some)
    make_shards(tyro.cli(MakeShardsSettings, args=[*shlex.split(command), "--output", "my_shards"]))
    files = find_digits("my_shards")
    shipped = 600 if "--with-mnist" in command else 0
    sources = sum(not name.startswith("--") for name in command.split())
    assert files.num_digits == COUNT * sources + shipped
    if not shipped:
        read = read_without_ray(files, np.ones(files.num_digits, bool), inverted_copies=False)
        (images, labels), (expected, of) = in_any_order(*read), in_any_order(*some, sources)
        assert labels.tolist() == of.tolist()
        assert np.median(np.abs(images - expected).mean((1, 2))) < 0.5
    held_out = sum(len(each) for path, each in zip(files.paths, files.labels, strict=True) if "/test-" in path)
    assert held_out == (COUNT // 3 if command == "my_dataset" else 200 if shipped else 0)


def test_one_split_of_several_shards_is_taken_without_what_datasets_keeps_beside_it(by_datasets, some, tmp_path):
    folder = tmp_path / "one_split"
    folder.mkdir()
    for file in (by_datasets / "one_split").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "cache-0123456789abcdef.arrow").write_bytes((folder / "data-00000-of-00003.arrow").read_bytes())
    sources, found = find_sources((str(folder),))
    assert [Path(source.file).name for source in sources] == [f"data-0000{n}-of-00003.arrow" for n in range(3)]
    assert [picture.label for picture in found] == some[1].tolist()
    (folder / "state.json").write_text("{}")
    with pytest.raises(DataError, match="one_split cannot be read: KeyError"):
        find_sources((str(folder),))
    (folder / "state.json").write_bytes((by_datasets / "one_split" / "state.json").read_bytes())
    (folder / "data-00001-of-00003.arrow").unlink()
    with pytest.raises(DataError, match=r"data-00001-of-00003\.arrow cannot be read"):
        find_sources((str(folder),))


def test_pictures_that_are_named_by_their_paths_are_read_from_there(by_datasets, some):
    (by_path,) = read_file(by_datasets / "by_path.parquet")
    (by_bytes,) = read_file(by_datasets / "digits.parquet")
    assert pq.read_table(by_datasets / "by_path.parquet")["image"][0].as_py()["bytes"] is None
    for data, expected in zip(by_path.encoded, some[0], strict=True):
        with Image.open(pa.BufferReader(data)) as picture:
            np.testing.assert_array_equal(np.asarray(picture), expected)
    np.testing.assert_array_equal(by_path.labels, by_bytes.labels)


def test_a_picture_that_is_not_at_its_path_is_told_with_the_file(tmp_path):
    rows = [{"bytes": None, "path": "gone.png"}]
    pq.write_table(pa.table({"image": rows, "label": [1]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"a\.parquet cannot be read.*gone\.png"):
        read_file(tmp_path / "a.parquet")


def test_classes_are_the_digits_that_they_are_called_by_and_not_their_numbers(by_datasets, some):
    (source,) = read_file(by_datasets / "words.parquet")
    called = {"zero": 0, "one": 1, "two": 2, "nine": 9}
    expected = [called.get(WORDS[label], label) for label in some[1]]
    assert source.labels.tolist() == expected != some[1].tolist()


def test_classes_that_are_no_digits_are_refused_with_their_name(by_datasets, some):
    row = int(np.flatnonzero(some[1] == 9)[0])
    with pytest.raises(DataError, match=f"row {row}: label 9 has 'T-shirt' among the names"):
        read_file(by_datasets / "clothes.parquet")


def test_arrays_of_datasets_are_taken_as_they_are(by_datasets, some):
    (source,) = read_file(by_datasets / "grid.parquet")
    np.testing.assert_array_equal(source.images, some[0])
    np.testing.assert_array_equal(source.labels, some[1])
