"""What jobs/pack.py does: puts a trained digit network and a trained page network into one checkpoint folder."""

from dataclasses import dataclass
from typing import Any

import tyro

from digits.errors import require
from digits.models import checkpoints
from digits.models.inference import built
from digits.reading.networks import Networks
from digits.reading.reader import NETWORK, READER, RECORD, Reader
from digits.storage import Storage

REMADE = ("format", "sha256")
"""What a record says of the files beside it."""


@dataclass(frozen=True, kw_only=True)
class PackSettings:
    """Puts a trained digit network and a trained reader of pages into one folder: a checkpoint that serves as a whole.

    A checkpoint as jobs/train.py leaves it has a digit network only; it reads pages with the reader that comes with
    digits.
    """

    checkpoint: str
    """Folder or URI of a checkpoint of jobs/train.py or jobs/tune.py."""
    reader: str
    """Folder or URI of a reader, as jobs/train_reader.py names it at its end."""
    output: tyro.conf.Positional[str]
    """Folder or URI for both together; there must be nothing yet."""


def pack(settings: PackSettings) -> dict[str, Any]:
    """Write what the command line names; returns the job's JSON document."""
    output = Storage.open(settings.output)
    require(
        not output.exists() or not (output.files() or output.folders()),
        f"there is something in {output} already",
        "a folder that is empty or not there",
        "name another one",
    )
    checkpoint, source = checkpoints.load(settings.checkpoint), Storage.open(settings.reader)
    Reader.load(source)  # refuses what is damaged
    for name in (NETWORK, RECORD):
        (output / READER / name).write_bytes((source / name).read_bytes())
    # Last, so that a folder that has a record is complete.
    record = {key: value for key, value in checkpoint.record.items() if key not in REMADE}
    graphs = built(checkpoint.architecture, checkpoint.weights)
    checkpoints.write(output, weights=checkpoint.weights, record=record, graphs=graphs)
    networks = Networks.load(output)
    print(f"{networks.checkpoint.name} and {networks.reader.record['name']}, together in {output}", flush=True)
    return {
        "checkpoint": str(output),
        "name": networks.checkpoint.name,
        "reader": networks.reader.record["name"],
    }
