"""Parquet files of digits: found, checked and fingerprinted before any image is read."""

import hashlib
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from digits.config import IMAGE_SIZE, MNIST, NUM_CLASSES, Paths
from digits.data.mnist import find_mnist
from digits.errors import DataError
from digits.storage import Storage
from digits.uris import public

IMAGE, LABEL = "image", "label"
HELD_OUT_PREFIX = "test-"
"""Files whose names begin with this are held out under the literature's protocol."""


@dataclass(frozen=True, kw_only=True)
class DigitFiles:
    """Checked Parquet files of digits, with what the split needs to know about them."""

    filesystems: tuple[fs.FileSystem, ...]
    """Where each file lies."""
    paths: tuple[str, ...]
    """Files of one source after another, sorted by name; rows are numbered through all of them."""
    labels: tuple[np.ndarray, ...]
    """uint8 (rows,) for each file: a byte a digit, since the whole job holds them."""
    fingerprint: str
    """SHA-256 over names, sizes, Parquet footers and labels: the same for equal data. + joins those of sources."""
    sources: tuple[tuple[str, int], ...]
    """Each source, as it may be shown, with its number of files."""

    @property
    def num_digits(self) -> int:
        """Number of rows in all files."""
        return sum(len(labels) for labels in self.labels)

    @property
    def local_paths(self) -> tuple[str, ...]:
        """The files as paths on this machine; none if they are in a bucket."""
        of_files = zip(self.paths, self.filesystems, strict=True)
        return tuple(path for path, filesystem in of_files if isinstance(filesystem, fs.LocalFileSystem))

    def rows_of_sources(self) -> list[tuple[str, slice]]:
        """Each source, as it may be shown, with its rows."""
        found, file, row = [], 0, 0
        for name, num_files in self.sources:
            end = row + sum(len(labels) for labels in self.labels[file : file + num_files])
            found.append((name, slice(row, end)))
            file, row = file + num_files, end
        return found

    def of_sources(self, side: np.ndarray) -> dict[str, int]:
        """How many digits of a side, bool (num_digits,), each source has."""
        return {name: int(side[rows].sum()) for name, rows in self.rows_of_sources()}


def find_digits(path: Paths = None) -> DigitFiles:
    """Check folders or buckets of Parquet files (mnist, or None: the shipped MNIST) and read their labels.

    Reads only schemas, footers and the label column, which takes a moment. Raises DataError, naming file and column,
    if a file cannot be read or does not hold image (fixed-shape tensor, uint8 28x28) and label (0..9), and if two
    sources are equal.
    """
    if path is None or isinstance(path, str):
        return find_source(path)
    found = [find_source(each) for each in path]
    fingerprints = [each.fingerprint for each in found]
    for second, fingerprint in enumerate(fingerprints):
        first = fingerprints.index(fingerprint)
        if first != second:
            raise DataError(
                f"{public(path[first])} and {public(path[second])} hold the same files",
                "different digits in each source",
                "leave one out; --weights says how often its digits are shown",
            )
    return DigitFiles(
        filesystems=tuple(filesystem for each in found for filesystem in each.filesystems),
        paths=tuple(file for each in found for file in each.paths),
        labels=tuple(labels for each in found for labels in each.labels),
        fingerprint="+".join(fingerprints),
        sources=tuple(source for each in found for source in each.sources),
    )


def find_source(path: str | None) -> DigitFiles:
    """`find_digits` for one folder or bucket."""
    shipped = path in (None, MNIST)
    folder = Storage.open(find_mnist() if path is None or shipped else path)
    names = [name for name in folder.files() if name.endswith(".parquet")]
    if not names:
        raise DataError(f"there are no Parquet files in {folder}", "files *.parquet with columns image and label")
    digest, paths, labels = hashlib.sha256(), [], []
    for name in names:
        file = folder / name
        try:
            with file.filesystem.open_input_file(file.path) as source, pq.ParquetFile(source) as parquet:
                check_schema(parquet.schema_arrow, str(file))
                column = parquet.read(columns=[LABEL])[LABEL]
                footer = pa.BufferOutputStream()
                parquet.metadata.write_metadata_file(footer)
                size = source.size()
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{file} cannot be read: {error}", "a complete Parquet file") from error
        values = check_labels(column, str(file))
        digest.update(f"{name} {size} ".encode() + footer.getvalue().to_pybytes())
        digest.update(values.tobytes())
        labels.append(values.astype(np.uint8))
        paths.append(file.path)
    return DigitFiles(
        filesystems=(folder.filesystem,) * len(paths),
        paths=tuple(paths),
        labels=tuple(labels),
        fingerprint=digest.hexdigest(),
        sources=((MNIST if shipped else str(folder), len(paths)),),
    )


def named(path: Paths) -> str:
    """What --data names, without keys, for a message."""
    paths = (path,) if isinstance(path, str) else path or ()
    return " and ".join(map(public, paths)) or "the shipped MNIST"


def find_same_digits(path: Paths, fingerprint: str, begun: str) -> DigitFiles:
    """`find_digits` for what is resumed, named `begun` in the message; DataError if its digits have changed since."""
    files = find_digits(path)
    if files.fingerprint != fingerprint:
        raise DataError(
            f"the digits of {named(path)} changed since {begun} began",
            "the digits that it was started with",
            "bring them back, or start anew without --resume",
        )
    return files


def check_schema(schema: pa.Schema, file: str) -> None:
    """Raise DataError unless a Parquet schema has both columns, of the right types."""
    for column in (IMAGE, LABEL):
        if column not in schema.names:
            raise DataError(f"{file} has no column {column!r}, only {schema.names}", f"the columns {IMAGE} and {LABEL}")
    image_type, label_type = schema.field(IMAGE).type, schema.field(LABEL).type
    expected = f"a fixed-shape tensor of uint8, {IMAGE_SIZE}x{IMAGE_SIZE} (pyarrow.fixed_shape_tensor)"
    if not isinstance(image_type, pa.FixedShapeTensorType):
        raise DataError(f"{file}: column {IMAGE!r} has type {image_type}", expected)
    if image_type.value_type != pa.uint8():
        raise DataError(f"{file}: column {IMAGE!r} holds {image_type.value_type}", expected)
    if list(image_type.shape) != [IMAGE_SIZE, IMAGE_SIZE]:
        raise DataError(f"{file}: column {IMAGE!r} has shape {'x'.join(map(str, image_type.shape))}", expected)
    if not pa.types.is_integer(label_type):
        raise DataError(f"{file}: column {LABEL!r} has type {label_type}", "whole numbers 0..9")


def check_labels(column: pa.ChunkedArray, file: str) -> np.ndarray:
    """A label column as int64 (rows,); DataError if a label is missing or outside 0..9."""
    if column.null_count:
        raise DataError(f"{file}: column {LABEL!r} has {column.null_count} missing values", "a label for each image")
    labels = column.to_numpy().astype(np.int64)
    wrong = np.flatnonzero((labels < 0) | (labels >= NUM_CLASSES))
    if len(wrong):
        raise DataError(
            f"{file}: column {LABEL!r} is {labels[wrong[0]]} in row {wrong[0]} ({len(wrong)} such rows)", "labels 0..9"
        )
    return labels
