"""What jobs/pack.py does: puts a trained digit network and a trained page network into one checkpoint folder.

How sure both together sound is fitted here, on simulated photos of one digit.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tyro

from digits.commands.console import ProgressLine
from digits.config import DataConfig
from digits.data.files import find_digits
from digits.data.read import read_without_ray
from digits.data.split import split_rows
from digits.errors import NoDigitFound, NotADigit, SeveralDigits, require
from digits.evaluation.pages.simulated import CONDITIONS, simulated_page
from digits.evaluation.photo_score import everyday_photos
from digits.models import checkpoints
from digits.models.inference import build_classifier, built
from digits.reading.confidence import Confidence
from digits.reading.networks import Networks
from digits.reading.one_digit import Classify, look_at
from digits.reading.reader import NETWORK, READER, RECORD, Reader
from digits.storage import Storage

REMADE = ("format", "sha256")
"""What a record says of the files beside it."""
SEED = 17


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
    photos: int = 4000
    """Simulated photos of one digit that tell how sure an answer may sound; a few minutes."""


def pack(settings: PackSettings) -> dict[str, Any]:
    """Write what the command line names; returns the job's JSON document."""
    output = Storage.open(settings.output)
    require(
        not output.exists() or not (output.files() or output.folders()),
        f"there is something in {output} already",
        "a folder that is empty or not there",
        "name another one",
    )
    require(settings.photos >= 2, f"--photos {settings.photos}", "at least 2", "leave it out for 4,000")
    checkpoint, source = checkpoints.load(settings.checkpoint), Storage.open(settings.reader)
    reader = Reader.load(source)  # refuses what is damaged
    confidence = fit_confidence(reader, build_classifier(checkpoint, 1).answers, settings.photos)
    (output / READER / NETWORK).write_bytes((source / NETWORK).read_bytes())
    reader_record = {**reader.record, "confidence_of_one": vars(confidence)}
    (output / READER / RECORD).write_bytes(json.dumps(reader_record, indent=1, allow_nan=False).encode())
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


def fit_confidence(reader: Reader, classify: Classify, count: int) -> Confidence:
    """How sure answers to pictures of one digit may sound, by how often those to `count` simulated ones are right."""
    said, right, doubts = [], [], []
    with ProgressLine() as line:
        for number, (photo, label) in enumerate(simulated_photos(count)):
            line.show("simulated photos", number / count)
            try:
                look = look_at(photo, reader)
                probabilities, doubt = look.weigh(classify(look.images))
            except (NoDigitFound, NotADigit, SeveralDigits):
                continue
            said.append(float(probabilities.max()))
            right.append(int(probabilities.argmax()) == label)
            doubts.append(doubt or 0.0)
    print(f"{sum(right):,} of {len(right):,} answers to {count:,} simulated photos are right", flush=True)
    return Confidence.fit(np.array(said), np.array(right, bool), np.array(doubts))


def simulated_photos(count: int) -> Iterator[tuple[np.ndarray, int]]:
    """Photos uint8 (H, W, 3) of one digit each, with their labels: everyday ones and pages of one digit in turns.

    MNIST's test digits are written on them, and styles that training does not have.
    """
    files = find_digits()
    held_out = np.flatnonzero(split_rows(files, DataConfig(protocol="literature")))
    chosen = np.zeros(files.num_digits, bool)
    chosen[np.random.default_rng(SEED).permutation(held_out)[: -(-count // 2)]] = True
    digits, labels = read_without_ray(files, chosen, inverted_copies=False)
    for number in range(count):
        if number % 2:
            page = simulated_page(digits, labels, np.random.default_rng((SEED, number)), CONDITIONS["one digit"])
            yield page.picture, int(page.digits)
        else:
            one = slice(number // 2, number // 2 + 1)
            yield everyday_photos(digits[one], labels[one], SEED)[0], int(labels[one][0])
