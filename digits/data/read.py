"""From Parquet files to digits in memory, in parallel on Ray Data.

    files.find_digits -> split.split_rows -> read_digits -> with_inverted_copies -> read_sides

How fast: docs/performance.md (jobs/benchmark.py --parts data).
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import ray.data
from pyarrow import fs

from digits.config import IMAGE_SIZE
from digits.data.files import IMAGE, LABEL, DigitFiles
from digits.images import Digits, invert

TASK_CPUS = 0.5
"""Fraction of a core that a Ray Data task asks for: small enough to fit into what training workers leave free."""
ROWS_PER_TASK = 10_000
"""Most digits that one task reads and inverts: a few milliseconds of work, 8 MB."""
Batch = dict[str, np.ndarray]
"""Columns image, uint8 (n, 28, 28), and label, int64 (n,)."""


def read_digits(files: DigitFiles, chosen: np.ndarray) -> ray.data.Dataset:
    """The chosen rows, bool (num_digits,), as a lazy dataset: image uint8 (28, 28), label int64, in file order.

    One task reads up to 10,000 rows. `ray.data.read_parquet` packs small files into one block, which one task
    would then process alone, and it does not tell where in its file a row is, which an exact split needs.
    """
    tasks, start = [], 0
    for number, labels in enumerate(files.labels):
        rows = np.flatnonzero(chosen[start : start + len(labels)])
        tasks += [{"file": number, "rows": chunk} for chunk in chunks(rows, ROWS_PER_TASK)]
        start += len(labels)
    dataset = ray.data.from_items(tasks, override_num_blocks=max(len(tasks), 1))
    return in_tasks(dataset, read_task, batch_size=1, paths=files.paths, filesystems=files.filesystems)


def in_tasks(
    dataset: ray.data.Dataset, function: Callable[..., Batch], *, batch_size: int | None, **constants: object
) -> ray.data.Dataset:
    """`dataset.map_batches` in tasks that each take a fraction of a core, as many at a time as there are cores.

    So they fit beside training; and more tasks than cores would only wait for more processes to start. `constants` are
    passed to the function as keyword arguments.
    """
    cores = max(1, int(ray.cluster_resources().get("CPU", 1)))
    return dataset.map_batches(
        function,
        batch_size=batch_size,
        fn_kwargs=constants,
        num_cpus=TASK_CPUS,
        compute=ray.data.TaskPoolStrategy(size=cores),
    )


def chunks(rows: np.ndarray, size: int) -> list[np.ndarray]:
    """A 1-D array in chunks of about equal length, at most `size`; none if the array is empty."""
    return np.array_split(rows, -(-len(rows) // size)) if len(rows) else []


def read_task(task: dict[str, np.ndarray], paths: Sequence[str], filesystems: Sequence[fs.FileSystem]) -> Batch:
    """The digits of one task of read_digits."""
    number = int(task["file"][0])
    return read_rows(paths[number], filesystems[number], task["rows"][0])


def read_rows(path: str, filesystem: fs.FileSystem, rows: np.ndarray) -> Batch:
    """Some rows of a file, ascending: image uint8 (n, 28, 28), label int64 (n,)."""
    images, labels = concatenate(list(iterate_rows(path, filesystem, rows)))
    return {IMAGE: images, LABEL: labels}


def iterate_rows(path: str, filesystem: fs.FileSystem, rows: np.ndarray) -> Iterator[Digits]:
    """Some rows of a file, ascending, one row group at a time: uint8 (n, 28, 28) and int64 (n,)."""
    first = 0
    with pq.ParquetFile(path, filesystem=filesystem) as parquet:
        for group in range(parquet.num_row_groups):
            size = parquet.metadata.row_group(group).num_rows
            wanted = rows[slice(*np.searchsorted(rows, (first, first + size)))] - first
            first += size
            if len(wanted):
                table = parquet.read_row_group(group, columns=[IMAGE, LABEL])
                images = table[IMAGE].combine_chunks()
                images = images.chunk(0) if isinstance(images, pa.ChunkedArray) else images
                yield images.to_numpy_ndarray()[wanted], table[LABEL].to_numpy().astype(np.int64)[wanted]


def invert_batch(batch: Batch) -> Batch:
    """A batch with each digit followed by its colour-inverted copy: rows 2i and 2i + 1, same label."""
    images = batch[IMAGE]
    pairs = np.stack([images, invert(images)], axis=1)
    return {IMAGE: pairs.reshape(-1, *images.shape[1:]), LABEL: np.repeat(batch[LABEL], 2)}


def with_inverted_copies(dataset: ray.data.Dataset) -> ray.data.Dataset:
    """Each digit followed by its colour-inverted copy: twice as many rows, one pass, no union."""
    return in_tasks(dataset, invert_batch, batch_size=None)


def iterate(dataset: ray.data.Dataset) -> Iterator[Digits]:
    """The blocks of a dataset in its own order: uint8 (n, 28, 28) images and int64 (n,) labels."""
    dataset.context.execution_options.preserve_order = True
    dataset.context.enable_progress_bars = False
    for batch in dataset.iter_batches(batch_size=None, batch_format="numpy"):
        yield batch[IMAGE], batch[LABEL]


def iterate_at_once(dataset: ray.data.Dataset) -> Iterator[Digits]:
    """`iterate` for a dataset that fits in memory: its tasks run as fast as they can, without reserving memory.

    Otherwise Ray Data runs one task at a time for a second, until it knows what the cluster has: as long as all takes.
    """
    dataset.context.op_resource_reservation_enabled = False
    return iterate(dataset)


def to_memory(dataset: ray.data.Dataset) -> Digits:
    """A dataset as two arrays, in its own order: uint8 (N, 28, 28) and int64 (N,)."""
    return concatenate(list(iterate_at_once(dataset)))


def read_sides(
    files: DigitFiles, training: np.ndarray, validation: np.ndarray, *, inverted_copies: bool
) -> tuple[Digits, Digits]:
    """Read the rows of both sides, each bool (num_digits,), into memory, in file order; each file is read once.

    Returns uint8 (N, 28, 28) and int64 (N,) for each side; with `inverted_copies`, a copy follows each digit.
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


def concatenate(parts: Sequence[Digits]) -> Digits:
    """Pairs of images and labels as one pair; no pairs give uint8 (0, 28, 28) and int64 (0,)."""
    if not parts:
        return np.zeros((0, IMAGE_SIZE, IMAGE_SIZE), np.uint8), np.zeros(0, np.int64)
    images, labels = zip(*parts, strict=True)
    return np.concatenate(images), np.concatenate(labels)


def read_without_ray(files: DigitFiles, chosen: np.ndarray, *, inverted_copies: bool) -> Digits:
    """The rows that `read_digits` and `with_inverted_copies` would give, read in this process."""
    images, labels = concatenate(list(iterate_without_ray(files, chosen)))
    if not inverted_copies:
        return images, labels
    pairs = invert_batch({IMAGE: images, LABEL: labels})
    return pairs[IMAGE], pairs[LABEL]


def iterate_without_ray(files: DigitFiles, chosen: np.ndarray) -> Iterator[Digits]:
    """The chosen rows, bool (num_digits,), read in this process, one row group at a time; see `iterate_rows`.

    A file that has none of them is not opened.
    """
    start = 0
    for path, filesystem, labels in zip(files.paths, files.filesystems, files.labels, strict=True):
        rows = np.flatnonzero(chosen[start : start + len(labels)])
        start += len(labels)
        if len(rows):
            yield from iterate_rows(path, filesystem, rows)
