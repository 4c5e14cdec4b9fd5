"""What jobs/read.py does: reads unlabelled pictures on Ray Data, with both networks, as the service reads them."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import ray
import ray.data
import tyro

from digits import cluster, stopping
from digits.commands.console import ProgressLine
from digits.commands.reader.found_pictures import Picture, find_pictures
from digits.commands.reader.read_table import ReadTable, Row
from digits.commands.settings import StorageSettings
from digits.default_storage import choose_storage
from digits.errors import NotADigit, UnreadableImage, require
from digits.evaluation.photo_folder import NAMED
from digits.models import checkpoints
from digits.models.checkpoints import Checkpoint
from digits.models.registry import find_best, has_best
from digits.reading.answer import Reading
from digits.reading.networks import Networks

SHOWN = 1_000
"""Most pictures that the JSON document tells of."""
PICTURES_A_TASK = 8


@dataclass(frozen=True, kw_only=True)
class ReadSettings(StorageSettings):
    """Reads every digit in pictures, folders of them and buckets, on all cores of the cluster.

    Shows what it reads as it goes. With --output the answers become a CSV or Parquet file; the same command, typed
    again after an interruption, goes on with the pictures that are not read yet.
    """

    pictures: tyro.conf.Positional[tuple[str, ...]]
    """Pictures, folders of them with all folders inside, and URIs of either."""
    output: str | None = None
    """File or URI for what is read, ending in .csv or .parquet; left out, it is only shown."""
    checkpoint: str | None = None
    """Folder or URI of a checkpoint; left out, what would serve: the best of the storage path, or the shipped one."""


def read_pictures(settings: ReadSettings) -> dict[str, Any]:
    """Read what the command line names; returns the job's JSON document."""
    require(
        bool(settings.pictures),
        "no pictures are named",
        "paths of pictures or folders, or URIs",
        "for instance: python jobs/read.py my_sheets --output read.csv",
    )
    pictures, stray = find_pictures(settings.pictures)
    table = ReadTable(settings.output) if settings.output else None
    storage = choose_storage(settings.storage_path, holds=None if settings.checkpoint else has_best)
    checkpoint = checkpoints.load(settings.checkpoint or find_best(storage))
    if stray:
        more = f" and {len(stray) - NAMED:,} more" if len(stray) > NAMED else ""
        print(f"left out, no pictures: {', '.join(stray[:NAMED])}{more}", flush=True)
    rows = {name: row for name, row in (table.rows if table else {}).items() if name in {one.name for one in pictures}}
    missing = [picture for picture in pictures if picture.name not in rows]
    again = f", {len(rows):,} of them read before" if rows else ""
    print(f"{len(pictures):,} pictures{again} | {checkpoint.name}, from {checkpoint.path}", flush=True)

    go_on = "type the command again to go on" if table else "nothing was kept without --output"
    stopping.reached(lambda: f"after {len(rows):,} of {len(pictures):,} pictures; {go_on}")
    if missing:
        cluster.connect()
        cluster.check_shared(storage, [one.file.path for one in missing[:100] if one.file.is_local])
    try:
        with ProgressLine() as line:
            for row in read_on_ray(missing, checkpoint):
                rows[row["file"]] = row
                if table:
                    table.add(row)
                else:
                    line.print(f"{row['file']}: {row['text'].replace(chr(10), ' | ') or row['refused']}")
                line.show(f"{len(rows):,}/{len(pictures):,} pictures", len(rows) / len(pictures))
    finally:
        if table:
            table.flush()
    ordered = [rows[picture.name] for picture in pictures]
    if table:
        table.finish(ordered)
    return {
        "pictures": [short(row) for row in ordered[:SHOWN]],
        "count": len(ordered),
        "refused": sum(row["refused"] is not None for row in ordered),
        "output": str(table.file) if table else None,
    }


def short(row: Row) -> dict[str, Any]:
    """A row as the JSON document has it: without probabilities."""
    digits = [{key: value for key, value in one.items() if key != "probabilities"} for one in row["digits"]]
    return {"file": row["file"], "text": row["text"], "refused": row["refused"], "digits": digits}


class PictureReader:
    """Both networks in one of Ray Data's workers."""

    def __init__(self, pictures: Sequence[Picture], checkpoint: Checkpoint) -> None:
        cv2.setNumThreads(1)
        self.pictures = pictures
        self.networks = Networks.of(checkpoint)

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The rows of some pictures, by their places in the list, as JSON: Arrow would take no two for one type."""
        return {"row": np.array([json.dumps(self.row(self.pictures[place])) for place in batch["id"]])}

    def row(self, picture: Picture) -> Row:
        """What is read of a picture, or why nothing is."""
        try:
            reading = self.networks.read(picture.file.read_bytes())
        except NotADigit:
            return row_of(picture.name, None, "not_a_digit")
        except UnreadableImage as error:
            return row_of(picture.name, None, error.reason)
        except OSError as error:
            return row_of(picture.name, None, f"cannot be read: {error}")
        return row_of(picture.name, reading, None)


def row_of(name: str, reading: Reading | None, refused: str | None) -> Row:
    """A row of the table."""
    digits = reading.digits if reading else ()
    return {
        "file": name,
        "text": reading.text if reading else "",
        "numbers": reading.numbers if reading else [],
        "rotation": reading.rotation if reading else 0,
        "refused": refused,
        "digits": [
            {
                "digit": one.digit,
                "confidence": round(one.confidence, 6),
                "box": [round(float(value), 1) for value in one.box],
                "line": one.line,
                "number": one.number,
                "probabilities": [round(float(value), 6) for value in one.probabilities],
            }
            for one in digits
        ],
    }


def read_on_ray(pictures: Sequence[Picture], checkpoint: Checkpoint) -> Iterator[Row]:
    """Read pictures on all cores of the cluster; the rows as they come."""
    if not pictures:
        return
    cores = max(1, int(ray.cluster_resources().get("CPU", 1)))
    workers = min(cores, -(-len(pictures) // PICTURES_A_TASK))
    # In memory: tasks that made the numbers would wait for a core, and the readers below hold all of them.
    places = ray.data.from_items(
        [{"id": place} for place in range(len(pictures))], override_num_blocks=-(-len(pictures) // PICTURES_A_TASK)
    )
    dataset = places.map_batches(
        PictureReader,
        batch_size=PICTURES_A_TASK,
        num_cpus=1,
        compute=ray.data.ActorPoolStrategy(size=workers),
        fn_constructor_args=(list(pictures), checkpoint),
    )
    dataset.context.enable_progress_bars = False
    for batch in dataset.iter_batches(batch_size=None, batch_format="numpy"):
        yield from map(json.loads, batch["row"])
