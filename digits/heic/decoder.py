"""HEIC pictures, decoded by libheif in a process of its own.

Decoders of HEIC are large C++ libraries in which faults are found every few months, and what they are given comes from
strangers. So each picture gets a process that ends with it, with bounds on memory and time and without our environment:
what breaks or fools the decoder costs one picture. Its answer is checked as a stranger's would be.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, Literal

from PIL import Image

from digits.errors import UnreadableImage
from digits.heic import child

PATIENCE_S = 60
"""Seconds until a picture is given up and its process killed. Its processor time is bounded more tightly; this is for a
process that waits, and leaves time on a busy machine."""
BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
"""By these a file says that it holds HEVC pictures: single, several or a sequence (ISO/IEC 23008-12, annex B)."""
AVIF_BRANDS = frozenset({b"avif", b"avis"})
"""By these it says that it is AVIF, which Pillow reads."""
MAX_BRANDS_END = 1000
"""Bytes into the file at which no more brands are looked for; cameras name about ten, of 4 bytes each."""
MODES = ("L", "I;16", "RGB", "RGBA", "RGBa")
"""Pillow's modes of what libheif decodes: grey of 8 and of 16 bits, and colour."""


def is_heic(data: bytes) -> bool:
    """Whether a file that begins with these bytes is HEIC, damaged or not."""
    if data[4:8] != b"ftyp":
        return False
    end = min(int.from_bytes(data[:4], "big"), len(data), MAX_BRANDS_END)
    brands = {data[8:12], *(data[place : place + 4] for place in range(16, end, 4))}
    return bool(brands & BRANDS) and not brands & AVIF_BRANDS


def heic_size(data: bytes, most_pixels: int) -> tuple[int, int]:
    """Width and height of a HEIC picture, upright, from its header; UnreadableImage as `decode_heic` raises it."""
    with tempfile.TemporaryFile() as answer:
        _, width, height = ask(data, most_pixels, "size", answer)
    return width, height


def decode_heic(data: bytes, most_pixels: int) -> Image.Image:
    """Decode a HEIC picture, the primary one where there are several, upright, in one of MODES.

    HEIF has properties of its own for how a picture is turned, and it is turned by these alone, as the standard says:
    what EXIF says, too, only repeats them, or is left over from before. Raises UnreadableImage with the reason
    no_heic_decoder, too_many_pixels or damaged.
    """
    with tempfile.TemporaryFile() as answer:
        mode, width, height = ask(data, most_pixels, "pixels", answer)
        try:
            return Image.frombytes(mode, (width, height), answer.read())
        except ValueError as error:
            raise damaged("the decoder gave only a part of the pixels") from error


def ask(data: bytes, most_pixels: int, what: Literal["size", "pixels"], answer: IO[bytes]) -> tuple[str, int, int]:
    """What the process tells of a picture: mode, width and height; the pixels are left to be read from `answer`."""
    command = [sys.executable, "-S", "-P", str(Path(child.__file__)), str(most_pixels), what]
    # It finds the packages that are found here, and of the environment gets no more than where libraries lie.
    environment = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    if "LD_LIBRARY_PATH" in os.environ:
        environment["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH"]
    try:
        ended = subprocess.run(
            command,
            input=data,
            stdout=answer,
            stderr=subprocess.DEVNULL,
            env=environment,
            timeout=PATIENCE_S,
            start_new_session=True,  # so that Ctrl-C ends the job, which ends it
        )
    except subprocess.TimeoutExpired as error:
        raise damaged(f"it was not decoded within {PATIENCE_S} s") from error
    answer.seek(0)
    line = answer.readline(100).split()
    if ended.returncode != 0 or len(line) != 3 or not (line[1].isdigit() and line[2].isdigit()):
        raise damaged(f"the decoder ended with exit code {ended.returncode}")
    word, width, height = line[0].decode(errors="replace"), int(line[1]), int(line[2])
    if word == child.NO_DECODER:
        raise UnreadableImage(
            "the picture is a HEIC file, and no decoder for it is installed",
            "a picture that needs none, or the decoder",
            "add it with: pip install 'digits[heic]', or send the picture as JPEG or PNG",
            reason="no_heic_decoder",
        )
    if word == child.TOO_LARGE or width * height > most_pixels:
        raise UnreadableImage(
            f"the HEIC picture declares {width} x {height} pixels",
            f"at most {most_pixels:,} pixels",
            "scale the picture down, or send the part that shows the digit",
            reason="too_many_pixels",
        )
    if word not in MODES or width * height == 0:
        raise damaged(f"the decoder tells of {width} x {height} pixels in the mode {word}")
    return word, width, height


def damaged(how: str) -> UnreadableImage:
    """What is raised for a file that cannot be decoded."""
    return UnreadableImage(
        f"the HEIC file is truncated or damaged: {how}",
        "a complete picture file",
        "send the picture again, or open it in a picture viewer and save it anew as PNG or JPEG",
        reason="damaged",
    )
