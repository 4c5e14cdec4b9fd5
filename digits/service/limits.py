"""What one request may cost: every input limit of the service."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

from digits.config import IMAGE_SIZE
from digits.errors import require
from digits.images import declared_pixels

SMALL_BYTES = 50_000
SMALL_PIXELS = 100_000
"""Pictures of at most so many bytes and pixels, all of a request together, are small: read in a few milliseconds."""
TINY_BYTES = 5_000
"""A body of at most so many bytes is read in less time than it takes to hand it to a thread, where it is one image
that the digit network reads alone, or a tensor of a few."""
_28X28_PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + 2 * IMAGE_SIZE.to_bytes(4, "big")
"""How the file of one begins: signature, and width and height in its header."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds on a request and on concurrent work; the pixels of a picture are bounded in `digits.images`."""

    max_body_bytes: int = 20_000_000
    """Largest request body, declared or streamed."""
    max_files: int = 16
    """Most pictures in one multipart request."""
    max_batch: int = 1024
    """Most images in one tensor of the Open Inference Protocol."""
    num_threads: int = 2
    """Large pictures decoded at the same time in one replica: bounds its memory, whatever people upload. As many small
    ones are answered beside them, so that they need not wait."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            require(
                isinstance(value, int) and value >= 1,
                f"{field.name} = {value!r}",
                "a whole number, at least 1",
                f"leave {field.name} out to use {field.default}",
            )


def are_small(pictures: Sequence[bytes]) -> bool:
    """Whether the picture files of a request are small, all together."""
    if sum(map(len, pictures)) > SMALL_BYTES:
        return False
    return sum(map(declared_pixels, pictures)) <= SMALL_PIXELS


def is_tiny(pictures: Sequence[bytes]) -> bool:
    """Whether a request is one PNG file of 28x28 pixels, which is decoded at once."""
    return len(pictures) == 1 and len(pictures[0]) <= TINY_BYTES and pictures[0].startswith(_28X28_PNG)
