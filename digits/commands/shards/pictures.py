"""Pictures of any size become digits of 28x28, on Ray Data; what is done is kept, so that an interrupted job goes on.

OUTPUT/parts/KEY-0000.npz     some pictures, prepared, or the reason why not
"""

import hashlib
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import ray.data

from digits.config import IMAGE_SIZE
from digits.errors import NoDigitFound, UnreadableImage
from digits.images import decode_image
from digits.preprocessing.prepare import prepare_photo
from digits.storage import Storage

A_PART = 256
"""Pictures that are kept together: that many are prepared anew at most."""
A_TASK = 16


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture of one digit that is to be prepared."""

    where: str
    """For people: its path, or its file and row."""
    label: int
    held_out: bool
    path: Path | None = None
    data: bytes | None = None
    """Of the file, where it does not lie at a path."""

    def read(self) -> bytes:
        """The bytes of the file."""
        if self.data is not None:
            return self.data
        assert self.path is not None, "a picture has a path or its bytes"
        return self.path.read_bytes()

    def state(self) -> tuple[int, int]:
        """What changes when somebody changes the picture: its size and, of a file of its own, its time."""
        if self.path is None:
            return len(self.data or b""), 0
        status = self.path.stat()
        return status.st_size, status.st_mtime_ns


@dataclass(frozen=True, kw_only=True, eq=False)
class Done:
    """What became of all pictures, in their order."""

    images: np.ndarray
    """uint8 (N, 28, 28); black where there is a reason."""
    reasons: list[str]
    """Why a picture is no digit; empty where it is one."""


def prepare_all(pictures: Sequence[Picture], parts: Storage, tell: Callable[[int], None]) -> Done:
    """Prepare all pictures; `tell` gets how many are done."""
    names = [[picture.where, picture.label, *picture.state()] for picture in pictures]
    key = hashlib.sha256(json.dumps(names).encode()).hexdigest()[:12]
    done: dict[int, tuple[np.ndarray, list[str]]] = {}
    numbers = range(-(-len(pictures) // A_PART))
    kept = set(parts.files())
    for number in numbers:
        if f"{key}-{number:04d}.npz" in kept:
            done[number] = read_part((parts / f"{key}-{number:04d}.npz").read_bytes())
    missing = [number for number in numbers if number not in done]
    places = [
        place for number in missing for place in range(number * A_PART, min((number + 1) * A_PART, len(pictures)))
    ]
    rows = prepared_on_ray(pictures, places)
    told = len(pictures) - len(places)
    tell(told)
    for number in missing:
        count = min((number + 1) * A_PART, len(pictures)) - number * A_PART
        images, reasons = np.zeros((count, IMAGE_SIZE, IMAGE_SIZE), np.uint8), [""] * count
        for index in range(count):
            images[index], reasons[index] = next(rows)
            told += 1
            tell(told)
        done[number] = images, reasons
        (parts / f"{key}-{number:04d}.npz").write_bytes(part_of(images, reasons))
    parts_in_order = [done[number] for number in numbers]
    return Done(
        images=np.concatenate([images for images, _ in parts_in_order]),
        reasons=[reason for _, reasons in parts_in_order for reason in reasons],
    )


def prepared_on_ray(pictures: Sequence[Picture], places: Sequence[int]) -> Iterator[tuple[np.ndarray, str]]:
    """The pictures at these places, prepared on all cores of the cluster, in order."""
    if not places:
        return
    items = [{"place": place} for place in places]
    prepare: Callable[..., dict[str, np.ndarray]] = prepare_batch
    dataset = ray.data.from_items(items, override_num_blocks=-(-len(items) // A_TASK)).map_batches(
        prepare, batch_size=A_TASK, num_cpus=1, fn_kwargs={"pictures": ray.put(list(pictures))}
    )
    dataset.context.execution_options.preserve_order = True
    dataset.context.enable_progress_bars = False
    for batch in dataset.iter_batches(batch_size=None, batch_format="numpy"):
        yield from zip(batch["image"], map(str, batch["reason"]), strict=True)


def prepare_batch(batch: dict[str, np.ndarray], pictures: Any) -> dict[str, np.ndarray]:
    """Prepare some pictures, by their places in a list in Ray's object store."""
    cv2.setNumThreads(1)
    known: list[Picture] = ray.get(pictures)
    prepared = [prepare_one(known[place]) for place in batch["place"]]
    return {
        "image": np.stack([image for image, _ in prepared]),
        "reason": np.array([reason for _, reason in prepared], dtype=object),
    }


def prepare_one(picture: Picture) -> tuple[np.ndarray, str]:
    """uint8 (28, 28), and why it is none."""
    black = np.zeros((IMAGE_SIZE, IMAGE_SIZE), np.uint8)
    try:
        return prepare_photo(decode_image(picture.read())), ""
    except NoDigitFound as error:
        return black, error.reason
    except UnreadableImage as error:
        return black, error.reason or "damaged"
    except OSError as error:
        return black, f"cannot be read: {error.strerror}"


def part_of(images: np.ndarray, reasons: Sequence[str]) -> bytes:
    """What is kept of a part."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, images=images, reasons=np.array(reasons, dtype=np.str_))
    return buffer.getvalue()


def read_part(data: bytes) -> tuple[np.ndarray, list[str]]:
    """The same, read."""
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        return arrays["images"], [str(reason) for reason in arrays["reasons"]]
