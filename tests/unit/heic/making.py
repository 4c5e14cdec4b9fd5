"""HEIC files that tests make, and what may be done to them."""

import io
import struct

import numpy as np
import pillow_heif
from PIL import Image

ORIENTATION = 0x0112


def page(width: int = 360, height: int = 240) -> Image.Image:
    """Paper with a light, on which each corner looks another way, in smooth colours that a codec keeps."""
    x, y = np.linspace(0, 1, width)[None, :, None], np.linspace(0, 1, height)[:, None, None]
    pixels = 230 - 60 * x * y + np.zeros((height, width, 3))
    pixels[: height // 3, : width // 4] = 20
    pixels[-height // 4 :, : width // 3] = (150, 60, 60)
    return Image.fromarray(pixels.astype(np.uint8))


def exif(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[ORIENTATION] = orientation
    return tags.tobytes()


def heic(picture: Image.Image, orientation: int = 1, **options) -> bytes:
    """A HEIC file of these pixels, turned both by its own properties and by EXIF, as cameras write it."""
    file = io.BytesIO()
    pillow_heif.encode(
        picture.mode, picture.size, picture.tobytes(), file, quality=90, exif=exif(orientation), **options
    )
    return file.getvalue()


def with_exif_orientation(data: bytes, orientation: int) -> bytes:
    """The same file, of which only EXIF tells another turn."""
    place = data.index(struct.pack(">HHIH", ORIENTATION, 3, 1, 0)[:8])
    return data[: place + 8] + struct.pack(">H", orientation) + data[place + 10 :]


def declaring(data: bytes, width: int, height: int) -> bytes:
    """The same file, which declares another size in all its boxes of sizes (ispe)."""
    parts = data.split(b"ispe")
    return b"ispe".join([parts[0], *(part[:4] + struct.pack(">II", width, height) + part[12:] for part in parts[1:])])


def several(first: Image.Image, second: Image.Image, primary: int) -> bytes:
    """A file of two pictures."""
    file, both = io.BytesIO(), pillow_heif.from_pillow(first)
    both.add_from_pillow(second)
    both.save(file, quality=90, primary_index=primary)
    return file.getvalue()
