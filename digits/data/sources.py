"""Files of digits as people have them: IDX pairs, Keras' mnist.npz, Kaggle's CSV, Parquet and Arrow of datasets.

Each is read in this process: arrays of 28x28 as they are, encoded pictures of any size as bytes.
"""

import gzip
import io
import json
import re
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from digits.config import IMAGE_SIZE, NUM_CLASSES
from digits.errors import DataError

PIXELS = IMAGE_SIZE * IMAGE_SIZE
FORMS = (
    "pictures in folders 0 to 9 or with a labels.csv, photos of filled sheets, IDX pairs (images-idx3-ubyte and "
    "labels-idx1-ubyte, gzipped or not), .npz with x_train and y_train, .csv with label and 784 pixels, .parquet or "
    ".arrow with image and label, or what save_to_disk of datasets wrote"
)
HELD_OUT = re.compile(r"^(t10k|test|valid)|-(test|t10k)-")
"""Names of files whose digits are held out to validate."""
NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
"""What the names of classes may call the digits, beside 0 to 9 and such as 0 - zero."""
SPLITS, SAVED = "dataset_dict.json", "state.json"
"""What save_to_disk of datasets writes beside folders of splits, and beside a split's .arrow files."""
_IDX = re.compile(r"images[-.]idx3-ubyte(\.gz)?$")


@dataclass(frozen=True, kw_only=True, eq=False)
class Source:
    """The digits of one file, as it has them."""

    file: str
    labels: np.ndarray
    """int64 (N,), 0..9."""
    images: np.ndarray | None = None
    """uint8 (N, 28, 28); None where the file holds encoded pictures."""
    encoded: tuple[bytes, ...] = ()
    """The bytes of N picture files."""
    first: int = 0
    """What people call the first one's line or row."""
    unit: str = "row"
    held_out: bool = False

    def where(self, row: int) -> str:
        """Where a digit stands, for people."""
        return f"{self.file}, {self.unit} {self.first + row}"


DAMAGE = (
    *(OSError, ValueError, KeyError, EOFError, NotImplementedError, pa.ArrowException, zipfile.BadZipFile, zlib.error),
    *(SyntaxError, tokenize.TokenError),  # of an array's head, which NumPy reads as Python
)
"""What libraries raise where a file is not what its form says."""


def read_file(path: Path) -> list[Source]:
    """The digits of a file; DataError for one of another form, or whose content is not what its form says."""
    readers = {".npz": _npz, ".csv": _kaggle, ".parquet": _table, ".arrow": _table}
    read = _idx if _IDX.search(path.name) else readers.get(path.suffix.lower())
    if read is None:
        raise DataError(
            f"{path} has no form that is read here", FORMS, "name other files, or turn them into one of these"
        )
    try:
        return list(read(path))
    except DAMAGE as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} cannot be read: {error}", FORMS, "mend or remove that file") from error


def is_source(path: Path) -> bool:
    """Whether a file has a name that `read_file` takes."""
    return bool(_IDX.search(path.name)) or path.suffix.lower() in (".npz", ".csv", ".parquet", ".arrow")


def _idx(path: Path) -> Iterator[Source]:
    labels_path = path.with_name(path.name.replace("images", "labels").replace("idx3", "idx1"))
    other = (
        labels_path.with_suffix("") if labels_path.suffix == ".gz" else labels_path.with_name(f"{labels_path.name}.gz")
    )
    found = next((each for each in (labels_path, other) if each.is_file()), None)
    if found is None:
        raise DataError(f"{path} has no {labels_path.name} beside it", "a file of labels for each of images", "add it")
    yield _checked(path, _idx_array(path, 3), _idx_array(found, 1), held_out=bool(HELD_OUT.search(path.name)))


def _idx_array(path: Path, axes: int) -> np.ndarray:
    """A file in the IDX format with so many axes, of bytes."""
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    if data[:4] != bytes((0, 0, 8, axes)):
        raise DataError(
            f"{path} does not begin as an IDX file of bytes with {axes} axes", FORMS, "fetch the file again"
        )
    shape = tuple(np.frombuffer(data, ">u4", count=axes, offset=4).astype(int).tolist())
    content = np.frombuffer(data, np.uint8, offset=4 + 4 * axes)
    if len(content) != np.prod(shape):
        raise DataError(
            f"{path} holds {len(content):,} bytes", f"{np.prod(shape):,}, as its head says", "fetch it again"
        )
    return content.reshape(shape)


def _npz(path: Path) -> Iterator[Source]:
    with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
        for part in ("train", "test"):
            if f"x_{part}" in arrays.files or part == "train":
                yield _checked(
                    path, arrays[f"x_{part}"], arrays[f"y_{part}"], held_out=part == "test", unit=f"{part} row"
                )


def _kaggle(path: Path) -> Iterator[Source]:
    table = pyarrow.csv.read_csv(path)
    pixels = [name for name in table.column_names if name != "label"]
    if "label" not in table.column_names or len(pixels) != PIXELS:
        names = ", ".join(table.column_names[:3])
        raise DataError(
            f"{path} has {len(table.column_names)} columns, {names} ...",
            f"label and {PIXELS} pixels",
            "take the file with labels, or name its columns so",
        )
    values = np.stack([table[name].to_numpy() for name in pixels], axis=1)
    images = values.reshape(-1, IMAGE_SIZE, IMAGE_SIZE)
    yield _checked(
        path, images, table["label"].to_numpy(), held_out=bool(HELD_OUT.search(path.name)), first=2, unit="line"
    )


def _table(path: Path) -> Iterator[Source]:
    table = pq.read_table(path) if path.suffix.lower() == ".parquet" else _arrow(path)
    named = {name.lower(): name for name in table.column_names}
    image = next((named[name] for name in ("image", "img") if name in named), None)
    label = next((named[name] for name in ("label", "labels", "digit") if name in named), None)
    if image is None or label is None:
        raise DataError(f"{path} has the columns {table.column_names}", "image and label", "rename its columns")
    column, labels = table[image].combine_chunks(), _by_name(path, table, label)
    column = column.chunk(0) if isinstance(column, pa.ChunkedArray) and column.num_chunks == 1 else column
    split = path.parent if (path.parent.parent / SPLITS).is_file() else path
    held_out = bool(HELD_OUT.search(split.name))
    if isinstance(column.type, pa.FixedShapeTensorType):
        yield _checked(path, column.to_numpy_ndarray(), labels, held_out=held_out)
        return
    if pa.types.is_list(column.type):
        pixels = column.flatten().flatten().to_numpy(zero_copy_only=False)
        yield _checked(path, pixels.reshape(len(column), IMAGE_SIZE, IMAGE_SIZE), labels, held_out=held_out)
        return
    encoded = tuple(_encoded(path, row) for row in column.to_pylist())
    if not all(isinstance(data, bytes) for data in encoded):
        raise DataError(
            f"{path}: column {image} has type {column.type}",
            "encoded pictures, bytes or bytes and path, or lists of 28 rows of 28 pixels",
            "write the bytes of each picture's file into it",
        )
    yield Source(file=str(path), labels=_labels(path, labels, 0, "row"), encoded=encoded, held_out=held_out)


def _encoded(path: Path, row: Any) -> Any:
    """The bytes of a picture as a row has them: bare, beside a path, or in a file that it names by its path."""
    if not isinstance(row, dict):
        return row
    if row.get("bytes") is None and row.get("path"):
        return (path.parent / row["path"]).read_bytes()
    return row.get("bytes")


def _by_name(path: Path, table: pa.Table, column: str) -> np.ndarray:
    """The labels of a table (N,); those of a ClassLabel of datasets are the digits that its classes are called by."""
    labels: np.ndarray = table[column].to_numpy()
    described = json.loads((table.schema.metadata or {}).get(b"huggingface", b"{}"))
    names = described.get("info", {}).get("features", {}).get(column, {}).get("names")
    if not names or not np.issubdtype(labels.dtype, np.integer):
        return labels
    digits = {f"{digit}{end}": digit for digit, name in enumerate(NAMES) for end in ("", f" - {name}")}
    digits |= {name: digit for digit, name in enumerate(NAMES)}
    for row, label in enumerate(labels):
        if not 0 <= label < len(names) or names[label].strip().lower() not in digits:
            called = repr(names[label]) if 0 <= label < len(names) else "no name"
            raise DataError(
                f"{path}, row {row}: label {label} has {called} among the names of the classes",
                "names of digits, such as 0 to 9",
                "leave out what shows no digit, or name the classes by their digits",
            )
    return np.array([digits[names[label].strip().lower()] for label in labels], np.int64)


def saved_files(folder: Path) -> list[Path]:
    """The .arrow files that save_to_disk of datasets wrote into a folder, of all splits; none in another folder.

    What lies beside them, such as datasets' own caches, is no part of it. DataError where its notes cannot be read.
    """
    try:
        if (folder / SPLITS).is_file():
            splits = json.loads((folder / SPLITS).read_bytes())["splits"]
            return [file for split in splits for file in saved_files(folder / split)]
        if (folder / SAVED).is_file():
            return [folder / each["filename"] for each in json.loads((folder / SAVED).read_bytes())["_data_files"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{folder} cannot be read: {error!r}", f"{SPLITS} or {SAVED}, as save_to_disk writes them", "save it again"
        ) from error
    return []


def _arrow(path: Path) -> pa.Table:
    """A file of Arrow's stream format, as datasets writes, or of its file format."""
    with pa.memory_map(str(path)) as source:
        try:
            return pa.ipc.open_stream(source).read_all()
        except pa.ArrowInvalid:
            source.seek(0)
            return pa.ipc.open_file(source).read_all()


def _checked(path: Path, images: np.ndarray, labels: np.ndarray, **kept: Any) -> Source:
    """Arrays as a source; DataError unless they are digits of 28x28 with a label each."""
    if images.shape[1:] != (IMAGE_SIZE, IMAGE_SIZE) or labels.shape != images.shape[:1]:
        raise DataError(
            f"{path} holds images {images.shape} and labels {labels.shape}", "(N, 28, 28) and (N,)", "name another file"
        )
    if not np.issubdtype(images.dtype, np.integer) or (images.size and (images.min() < 0 or images.max() > 255)):
        raise DataError(f"{path} holds pixels of type {images.dtype}", "whole numbers 0..255", "convert the images")
    labels = _labels(path, labels, kept.get("first", 0), kept.get("unit", "row"))
    return Source(file=str(path), images=images.astype(np.uint8), labels=labels, **kept)


def _labels(path: Path, labels: np.ndarray, first: int, unit: str) -> np.ndarray:
    """Labels as int64; DataError names the line of one that is no digit."""
    if not np.issubdtype(labels.dtype, np.integer):
        raise DataError(f"{path} holds labels of type {labels.dtype}", "whole numbers 0..9", "name another column")
    wrong = np.flatnonzero((labels < 0) | (labels >= NUM_CLASSES))
    if len(wrong):
        raise DataError(
            f"{path}, {unit} {first + wrong[0]}: label {labels[wrong[0]]} ({len(wrong):,} such labels)",
            "digits 0 to 9",
            "leave out what shows no digit; of EMNIST, take digits or mnist",
        )
    return labels.astype(np.int64)
