"""Each form in which people have digits is read as it was written; what is wrong with a file is told with its line."""

import contextlib
import gzip
import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from digits.data.sources import is_source, read_file
from digits.errors import DataError

RNG = np.random.default_rng(0)
IMAGES, LABELS = RNG.integers(0, 256, (12, 28, 28), np.uint8), RNG.integers(0, 10, 12).astype(np.uint8)


def idx(array):
    head = np.array([0x800 + array.ndim, *array.shape], ">u4").tobytes()
    return head + array.tobytes()


def write_idx(folder, packed, name="train-images-idx3-ubyte"):
    pack = gzip.compress if packed else bytes
    end = ".gz" if packed else ""
    labels = name.replace("images", "labels").replace("idx3", "idx1")
    (folder / f"{labels}{end}").write_bytes(pack(idx(LABELS)))
    (folder / f"{name}{end}").write_bytes(pack(idx(IMAGES)))
    return folder / f"{name}{end}"


def png(image):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def write_kaggle(path, header="label", labels=LABELS):
    rows = [",".join([header, *(f"pixel{number}" for number in range(784))])]
    rows += [",".join(map(str, [label, *image.ravel()])) for label, image in zip(labels, IMAGES, strict=True)]
    path.write_text("\n".join(rows) + "\n")
    return path


def assert_read(source, first="", held_out=False):
    np.testing.assert_array_equal(source.images, IMAGES)
    np.testing.assert_array_equal(source.labels, LABELS)
    assert source.held_out == held_out and source.labels.dtype == np.int64
    assert source.where(0).endswith(first)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("name", "held_out"),
    [
        ("train-images-idx3-ubyte", False),
        ("t10k-images-idx3-ubyte", True),
        ("emnist-digits-test-images-idx3-ubyte", True),
    ],
)
def test_idx_pairs(tmp_path, packed, name, held_out):
    (source,) = read_file(write_idx(tmp_path, packed, name))
    assert_read(source, "row 0", held_out)


def test_idx_images_and_labels_may_be_packed_apart(tmp_path):
    path = write_idx(tmp_path, True)
    labels = tmp_path / "train-labels-idx1-ubyte.gz"
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(gzip.decompress(labels.read_bytes()))
    labels.unlink()
    assert_read(read_file(path)[0])


def test_keras_npz(tmp_path):
    np.savez(tmp_path / "mnist.npz", x_train=IMAGES, y_train=LABELS, x_test=IMAGES, y_test=LABELS)
    train, test = read_file(tmp_path / "mnist.npz")
    assert_read(train, "mnist.npz, train row 0")
    assert_read(test, "mnist.npz, test row 0", held_out=True)


def test_kaggles_csv(tmp_path):
    (source,) = read_file(write_kaggle(tmp_path / "train.csv"))
    assert_read(source, "train.csv, line 2")


@pytest.mark.parametrize("kind", ["parquet", "stream", "file"])
@pytest.mark.parametrize("names", [("image", "label"), ("img", "Digit")])
def test_tables_of_encoded_pictures_as_hugging_face_writes_them(tmp_path, kind, names):
    rows = [{"bytes": png(image), "path": f"{number}.png"} for number, image in enumerate(IMAGES)]
    table = pa.table(dict(zip(names, (rows, LABELS.astype(np.int64)), strict=True)))
    path = tmp_path / ("test-00000-of-00001.parquet" if kind == "parquet" else "data-00000-of-00001.arrow")
    if kind == "parquet":
        pq.write_table(table, path)
    else:
        with pa.OSFile(str(path), "wb") as sink:
            open_writer = pa.ipc.new_stream if kind == "stream" else pa.ipc.new_file
            with open_writer(sink, table.schema) as writer:
                writer.write_table(table)
    (source,) = read_file(path)
    assert source.images is None and len(source.encoded) == len(IMAGES)
    assert source.held_out == (kind == "parquet")
    np.testing.assert_array_equal(source.labels, LABELS)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(source.encoded[3]))), IMAGES[3])


def test_a_column_of_bare_bytes(tmp_path):
    pq.write_table(pa.table({"image": [png(image) for image in IMAGES], "label": LABELS}), tmp_path / "a.parquet")
    assert read_file(tmp_path / "a.parquet")[0].encoded[0].startswith(b"\x89PNG")


def test_shards_of_our_own(tmp_path):
    column = pa.FixedShapeTensorArray.from_numpy_ndarray(IMAGES)
    pq.write_table(pa.table({"image": column, "label": LABELS}), tmp_path / "train-0.parquet")
    assert_read(read_file(tmp_path / "train-0.parquet")[0])


def broken(folder, how):
    """A file with something wrong, and what is told of it."""
    if how == "form":
        (folder / "digits.mat").write_bytes(b"x")
        return folder / "digits.mat", "no form that is read here"
    if how == "no labels":
        path = write_idx(folder, False)
        (folder / "train-labels-idx1-ubyte").unlink()
        return path, "has no train-labels-idx1-ubyte beside it"
    if how == "short":
        path = write_idx(folder, False)
        path.write_bytes(path.read_bytes()[:-1])
        return path, "9,407 bytes"
    if how == "head":
        path = write_idx(folder, False)
        path.write_bytes(b"\0\0\x0d\x03" + path.read_bytes()[4:])
        return path, "does not begin as an IDX file"
    if how == "packed":
        path = write_idx(folder, True)
        path.write_bytes(path.read_bytes()[:-20])
        return path, "cannot be read"
    if how == "letters":
        return write_kaggle(folder / "letters.csv", labels=[*LABELS[:5], 26, *LABELS[6:]]), r"line 7: label 26 \(1 such"
    if how == "no label":
        return write_kaggle(folder / "test.csv", header="number"), "785 columns, number, pixel0"
    if how == "keys":
        np.savez(folder / "a.npz", images=IMAGES)
        return folder / "a.npz", "cannot be read"
    if how == "shape":
        np.savez(folder / "a.npz", x_train=IMAGES[:, :20], y_train=LABELS)
        return folder / "a.npz", r"images \(12, 20, 28\)"
    if how == "fractions":
        np.savez(folder / "a.npz", x_train=IMAGES / 255, y_train=LABELS)
        return folder / "a.npz", "pixels of type float64"
    if how == "columns":
        pq.write_table(pa.table({"picture": [b"x"], "label": [1]}), folder / "a.parquet")
        return folder / "a.parquet", r"columns \['picture', 'label'\]"
    pq.write_table(pa.table({"image": ["a.png"], "label": [1]}), folder / "a.parquet")
    return folder / "a.parquet", "column image has type string"


KINDS = ["form", "no labels", "short", "head", "packed", "letters", "no label", "keys", "shape", "fractions", "columns"]


@pytest.mark.parametrize("how", [*KINDS, "texts"])
def test_what_is_wrong_is_told_in_three_parts(tmp_path, how):
    path, told = broken(tmp_path, how)
    with pytest.raises(DataError, match=told) as refused:
        read_file(path)
    assert path.name.split(".")[0].split("-images")[0] in str(refused.value)
    assert "expected:" in str(refused.value) and "what to do:" in str(refused.value)


def test_a_damaged_archive_is_told_in_three_parts(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", x_train=IMAGES, y_train=LABELS, x_test=IMAGES, y_test=LABELS)
    whole = (tmp_path / "a.npz").read_bytes()
    for at in range(60, 400, 7):
        damaged = bytearray(whole)
        damaged[at] ^= 255
        (tmp_path / "a.npz").write_bytes(damaged)
        with contextlib.suppress(DataError):
            read_file(tmp_path / "a.npz")


def test_names_say_what_may_be_a_source(tmp_path):
    names = ("a.npz", "train.csv", "x-images-idx3-ubyte.gz", "emnist-images.idx3-ubyte", "a.parquet", "a.arrow")
    assert all(is_source(tmp_path / name) for name in names)
    assert not any(is_source(tmp_path / name) for name in ("a.png", "x-labels-idx1-ubyte.gz", "README.md"))
