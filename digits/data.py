"""From Parquet files to training and validation digits, in parallel on Ray Data.

    find_digits -> split_rows -> read_digits -> with_inverted_copies -> read_sides

Originals are split first and each side is inverted afterwards, so that no digit has its negative on the other side.

How fast: docs/performance.md (jobs/benchmark.py --parts data).
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import ray.data
from pyarrow import fs

from digits.config import IMAGE_SIZE, NUM_CLASSES, ConfigurationError, DataConfig
from digits.images import invert
from digits.storage import Storage

SHIPPED = Path(__file__).parent / "mnist"
IMAGE, LABEL = "image", "label"
HELD_OUT_PREFIX = "test-"
"""Files whose name begins so are the held-out part of the literature's protocol."""
TASK_CPUS = 0.5
"""Share of a core that a Ray Data task asks for, so that training workers never leave too little for one."""
ROWS_PER_TASK = 10_000
"""Digits that one task reads and inverts, at most: some milliseconds of work, 8 MB."""


Batch = dict[str, np.ndarray]
"""Columns image, uint8 (n, 28, 28), and label, int64 (n,)."""


class DataError(ConfigurationError):
    """Parquet files that hold no digits as expected; the message names file and column."""

    def __init__(self, happened: str, expected: str, remedy: str = "mend or remove that file, or name another folder"):
        super().__init__(f"{happened}\n  expected: {expected}\n  what to do: {remedy}")


@dataclass(frozen=True, kw_only=True)
class DigitFiles:
    """Parquet files of digits that were checked, with what the split needs to know of them."""

    filesystem: fs.FileSystem
    paths: tuple[str, ...]
    """Files, sorted by name; a row's number counts through all of them."""
    labels: tuple[np.ndarray, ...]
    """int64 (rows of the file,) for each file."""
    fingerprint: str
    """SHA-256 over names, sizes, Parquet footers and labels: equal data has an equal fingerprint."""

    @property
    def num_digits(self) -> int:
        """Number of rows of all files."""
        return sum(len(labels) for labels in self.labels)

    @property
    def local_paths(self) -> tuple[str, ...]:
        """The files as paths of this machine; none where they lie in a bucket."""
        return self.paths if isinstance(self.filesystem, fs.LocalFileSystem) else ()


def find_digits(path: str | None = None) -> DigitFiles:
    """Check a folder or bucket of Parquet files (None: the shipped MNIST) and read their labels.

    Looks at schemas, footers and the label column only, so it takes moments. Raises DataError, naming file and
    column, where a file cannot be read or does not hold image (fixed-shape tensor, uint8 28x28) and label (0..9).
    """
    folder = Storage.open(SHIPPED if path is None else path)
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
        labels.append(check_labels(column, str(file)))
        digest.update(f"{name} {size} ".encode() + footer.getvalue().to_pybytes() + labels[-1].tobytes())
        paths.append(file.path)
    return DigitFiles(
        filesystem=folder.filesystem, paths=tuple(paths), labels=tuple(labels), fingerprint=digest.hexdigest()
    )


def find_same_digits(path: str | None, fingerprint: str, begun: str) -> DigitFiles:
    """`find_digits` for something named `begun` that goes on; DataError where its digits are others by now."""
    files = find_digits(path)
    if files.fingerprint != fingerprint:
        raise DataError(
            f"the digits of {path or 'the shipped MNIST'} changed since {begun} began",
            "the digits that it was started with",
            "bring them back, or start anew without --resume",
        )
    return files


def check_schema(schema: pa.Schema, file: str) -> None:
    """Raise DataError unless a Parquet schema has the two columns in their types."""
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
    """A label column as int64 (rows,); DataError where a label is missing or outside 0..9."""
    if column.null_count:
        raise DataError(f"{file}: column {LABEL!r} has {column.null_count} missing values", "a label for each image")
    labels = column.to_numpy().astype(np.int64)
    wrong = np.flatnonzero((labels < 0) | (labels >= NUM_CLASSES))
    if len(wrong):
        raise DataError(
            f"{file}: column {LABEL!r} is {labels[wrong[0]]} in row {wrong[0]} ({len(wrong)} such rows)", "labels 0..9"
        )
    return labels


def split_rows(files: DigitFiles, config: DataConfig) -> np.ndarray:
    """Which originals validate, as bool (num_digits,): stratified by digit and seeded, or the held-out files.

    round(num_digits x validation_fraction) rows validate, of each digit its share to within one row (largest
    remainders). Raises DataError where a side is empty.
    """
    if config.protocol == "literature":
        held_out = [Path(path).name.startswith(HELD_OUT_PREFIX) for path in files.paths]
        validates = np.repeat(held_out, [len(labels) for labels in files.labels])
    else:
        labels = np.concatenate(files.labels)
        rng = np.random.default_rng(config.split_seed)
        shares = np.bincount(labels, minlength=NUM_CLASSES) * config.validation_fraction
        counts = np.floor(shares).astype(int)
        counts[np.argsort(counts - shares, kind="stable")[: round(shares.sum()) - counts.sum()]] += 1
        validates = np.zeros(len(labels), bool)
        for digit, count in enumerate(counts):
            validates[rng.permutation(np.flatnonzero(labels == digit))[:count]] = True
    for side, size in (("training", np.sum(~validates)), ("validation", np.sum(validates))):
        if size == 0:
            raise DataError(
                f"no digit is left for the {side} side ({files.num_digits} digits, protocol {config.protocol})",
                f"digits on both sides; for the protocol literature, files named {HELD_OUT_PREFIX}* beside others",
                "give more digits, or use the protocol article",
            )
    return validates


def read_digits(files: DigitFiles, chosen: np.ndarray) -> ray.data.Dataset:
    """The chosen rows, bool (num_digits,), as a lazy dataset: image uint8 (28, 28), label int64, in file order.

    One task reads up to 10,000 rows. `ray.data.read_parquet` packs small files into one block, which one task
    would then process alone, and it does not tell a row's place in its file, which an exact split needs.
    """
    tasks, start = [], 0
    for path, labels in zip(files.paths, files.labels, strict=True):
        rows = np.flatnonzero(chosen[start : start + len(labels)])
        tasks += [{"path": path, "rows": part} for part in chunks(rows, ROWS_PER_TASK)]
        start += len(labels)
    dataset = ray.data.from_items(tasks, override_num_blocks=max(len(tasks), 1))
    return in_tasks(dataset, read_rows, batch_size=1, filesystem=files.filesystem)


def in_tasks(
    dataset: ray.data.Dataset, function: Callable[..., Batch], *, batch_size: int | None, **constants: object
) -> ray.data.Dataset:
    """`dataset.map_batches` in tasks of a part of a core each, as many at once as there are cores.

    Where training leaves little, they fit beside it; where it does not, more tasks than cores would each wait for a
    process of their own to start. `constants` are handed to the function as keywords.
    """
    cores = max(1, int(ray.cluster_resources().get("CPU", 1)))
    return dataset.map_batches(
        function, batch_size=batch_size, fn_kwargs=constants, num_cpus=TASK_CPUS, concurrency=cores
    )


def chunks(rows: np.ndarray, size: int) -> list[np.ndarray]:
    """A 1-D array in parts of about equal length, at most `size`; no part for no rows."""
    return np.array_split(rows, -(-len(rows) // size)) if len(rows) else []


def read_rows(task: dict[str, np.ndarray], filesystem: fs.FileSystem) -> Batch:
    """The digits of one task of read_digits: image uint8 (n, 28, 28), label int64 (n,)."""
    path, rows = task["path"][0], task["rows"][0]
    table = pq.read_table(path, columns=[IMAGE, LABEL], filesystem=filesystem)
    images = table[IMAGE].combine_chunks()
    images = images.chunk(0) if isinstance(images, pa.ChunkedArray) else images
    return {IMAGE: images.to_numpy_ndarray()[rows], LABEL: table[LABEL].to_numpy().astype(np.int64)[rows]}


def invert_batch(batch: Batch) -> Batch:
    """A batch with each digit followed by its colour-inverted copy: rows 2i and 2i + 1, same label."""
    images = batch[IMAGE]
    pairs = np.stack([images, invert(images)], axis=1)
    return {IMAGE: pairs.reshape(-1, *images.shape[1:]), LABEL: np.repeat(batch[LABEL], 2)}


def with_inverted_copies(dataset: ray.data.Dataset) -> ray.data.Dataset:
    """Each digit followed by its colour-inverted copy: twice as many rows, one pass, no union."""
    return in_tasks(dataset, invert_batch, batch_size=None)


def iterate(dataset: ray.data.Dataset) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The blocks of a dataset in its own order: uint8 (n, 28, 28) images and int64 (n,) labels."""
    dataset.context.execution_options.preserve_order = True
    dataset.context.enable_progress_bars = False
    for batch in dataset.iter_batches(batch_size=None, batch_format="numpy"):
        yield batch[IMAGE], batch[LABEL]


def iterate_at_once(dataset: ray.data.Dataset) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """`iterate` for a dataset that is to lie in memory: its tasks run as fast as they can, nobody reserves memory.

    Ray Data runs one task at a time until it knows what the cluster has, which takes it a second: as long as all takes.
    """
    dataset.context.op_resource_reservation_enabled = False
    return iterate(dataset)


def to_memory(dataset: ray.data.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """A dataset as two arrays, in its own order: uint8 (N, 28, 28) and int64 (N,)."""
    return concatenate(list(iterate_at_once(dataset)))


def read_sides(
    files: DigitFiles, training: np.ndarray, validation: np.ndarray, *, inverted_copies: bool
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Rows of both sides, each bool (num_digits,), in memory, in file order; every file is read once for both.

    Returns uint8 (N, 28, 28) and int64 (N,) of each side; with `inverted_copies` one follows each digit.
    """
    dataset = read_digits(files, training | validation)
    copies = 2 if inverted_copies else 1
    validates = np.repeat(validation[training | validation], copies)
    sides = []
    for size in (np.sum(~validates), np.sum(validates)):
        sides.append((np.empty((size, IMAGE_SIZE, IMAGE_SIZE), np.uint8), np.empty(size, np.int64)))
    row, ends = 0, [0, 0]
    for batch in iterate_at_once(with_inverted_copies(dataset) if inverted_copies else dataset):
        held_out = validates[row : row + len(batch[1])]
        row += len(batch[1])
        for number, (side, chosen) in enumerate(zip(sides, (~held_out, held_out), strict=True)):
            start, ends[number] = ends[number], ends[number] + int(chosen.sum())
            for column, values in zip(side, batch, strict=True):
                column[start : ends[number]] = values[chosen]
    return sides[0], sides[1]


def concatenate(parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of images and labels as one pair; no part gives uint8 (0, 28, 28) and int64 (0,)."""
    if not parts:
        return np.zeros((0, IMAGE_SIZE, IMAGE_SIZE), np.uint8), np.zeros(0, np.int64)
    images, labels = zip(*parts, strict=True)
    return np.concatenate(images), np.concatenate(labels)


def part_of(side: np.ndarray, groups: range) -> np.ndarray:
    """Only the originals of a side, bool (num_digits,), that are counted by `groups` within it."""
    part = np.zeros_like(side)
    part[np.flatnonzero(side)[groups.start : groups.stop]] = True
    return part


def read_without_ray(files: DigitFiles, chosen: np.ndarray, *, inverted_copies: bool) -> tuple[np.ndarray, np.ndarray]:
    """The rows that `read_digits` and `with_inverted_copies` would give, read in this process."""
    parts, start = [], 0
    for path, labels in zip(files.paths, files.labels, strict=True):
        rows = np.flatnonzero(chosen[start : start + len(labels)])
        start += len(labels)
        if len(rows):
            batch = read_rows({"path": np.array([path], object), "rows": [rows]}, files.filesystem)
            batch = invert_batch(batch) if inverted_copies else batch
            parts.append((batch[IMAGE], batch[LABEL]))
    return concatenate(parts)
