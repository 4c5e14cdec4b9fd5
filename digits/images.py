"""The image contract: what a picture is everywhere in this project.

The image of a digit is grey, uint8 (28, 28), or in colour, uint8 (28, 28, 3): its shape says which. Values are 0..255,
and only the network divides them by 255. A photo is uint8 (H, W, 3), RGB, upright. This file turns bytes into photos
and arrays into PNGs, safely: whatever a stranger uploads takes bounded memory and becomes an array or UnreadableImage.
"""

import io
import itertools
import re
import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from digits.config import CHANNELS, IMAGE_SIZE
from digits.errors import UnreadableImage
from digits.heic.decoder import decode_heic, heic_size, is_heic

Digits = tuple[np.ndarray, np.ndarray]
"""Images uint8 (N, 28, 28), or (N, 28, 28, 3) in colour, and their labels int (N,)."""
MAX_PIXELS = 60_000_000
"""Largest picture that is decoded, width x height in pixels."""
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF", "QOI")
"""Formats that are opened: those that cameras, phones, scanners and browsers write and that Pillow decodes itself; HEIC
is read beside them, by `digits.heic`. Left out are formats that run a program (EPS), that have no signature, so that
any bytes pass for a picture (TGA), or that may hide a larger picture than they declare (ICO)."""
DECODED_SIZE = 800
"""Larger pictures are decoded at, or reduced to, a longer side of at least this many pixels, and less than twice it."""
MAX_JPEG_SCANS = 100
"""Each scan of a progressive JPEG is a pass over the whole picture; cameras and editors write about ten."""
MAX_JPEG_SEGMENTS = 10_000
"""Parts of a JPEG that are looked at to count its scans; large ones, with profiles and tables, have some hundreds."""
TILE_SIDE = 1000
"""Deep pixels are computed with in parts of at most this width and height, or in single blocks that become a pixel."""
LARGEST_INVISIBLE_LUMINANCE = 128
"""A transparent picture is laid over white, unless everything visible in it is brighter than this."""

# What Pillow's readers have been seen to raise on malformed files: each means that the file is at fault, not we.
_DECODING_ERRORS = (
    *(OSError, EOFError, struct.error, zlib.error),  # truncated or broken streams; UnidentifiedImageError is an OSError
    *(SyntaxError, ValueError, TypeError, LookupError, AttributeError),  # malformed headers, tables and tags
    *(OverflowError, ZeroDivisionError, NotImplementedError, RuntimeError, MemoryError),  # sizes that cannot be
    Warning,  # where warnings are errors
)
_COMPLETE = (
    "a complete picture file",
    "send the picture again, or open it in a picture viewer and save it anew as PNG or JPEG",
)
_SMALLER = (f"at most {MAX_PIXELS:,} pixels", "scale the picture down, or send the part that shows the digit")
# The end of a JPEG, and what libjpeg reads or skips by its length: of others it takes two bytes, or refuses the file.
_JPEG_MARKER, _JPEG_END, _JPEG_SCAN = re.compile(rb"\xff[\xc0-\xcf\xd9-\xef\xfe]"), b"\xff\xd9", b"\xff\xda"
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode_image(data: bytes, *, longer_side: int = DECODED_SIZE) -> np.ndarray:
    """Decode the first frame of a picture file: uint8 (H, W, 3), RGB, upright, transparency laid over paper.

    Larger pictures come at a reduced scale: `longer_side` pixels or more, less than twice as many. Raises
    UnreadableImage, and nothing else, for whatever `data` holds.
    """
    return decode_with_size(data, longer_side=longer_side)[0]


def decode_with_size(data: bytes, *, longer_side: int = DECODED_SIZE) -> tuple[np.ndarray, tuple[int, int]]:
    """As `decode_image`; beside the photo, the picture's size in full, upright: width and height in pixels."""
    if len(data) == 0:
        raise UnreadableImage(
            "the file has 0 bytes", "a picture", "choose the picture again and resend it", reason="empty"
        )
    if is_heic(data):
        return photo_with_size(decode_heic(data, MAX_PIXELS), longer_side=longer_side)
    picture = _open(data)
    _refuse_too_many_pixels(picture)
    if picture.format in ("JPEG", "MPO"):
        _refuse_too_many_scans(data)
        width, height = picture.size
        scale = longer_side / max(width, height)
        # They are scaled by 1/2, 1/4 or 1/8 as they are decoded.
        picture.draft("RGB", (max(1, int(width * scale)), max(1, int(height * scale))))
        return photo_with_size(picture, longer_side=longer_side)[0], _upright((width, height), _orientation(picture))
    return photo_with_size(picture, longer_side=longer_side)


def photo_with_size(picture: Image.Image, *, longer_side: int = DECODED_SIZE) -> tuple[np.ndarray, tuple[int, int]]:
    """A Pillow image, of any mode, as `decode_with_size` makes it of a file: the photo, and width and height in full.

    The image stays as it is, but for being loaded. Raises UnreadableImage, and nothing else, where it cannot be read.
    """
    try:
        picture.load()
        orientation = _orientation(picture)
        photo = _turn(_reduce(_to_rgb_picture(picture, longer_side), longer_side), orientation)
    except _DECODING_ERRORS as error:
        name = f"{picture.format} file" if picture.format else "Pillow image"
        raise UnreadableImage(
            f"the {name} is truncated or damaged ({type(error).__name__})", *_COMPLETE, reason="damaged"
        ) from error
    return np.array(photo), _upright(picture.size, orientation)


def upright_size(data: bytes) -> tuple[int, int]:
    """Width and height of a picture file in full, as EXIF shows it; UnreadableImage as `decode_image` raises it.

    A PNG may name its turn behind its pixels, and Pillow turns a TIFF as it loads it: only of these pixels are decoded.
    """
    if is_heic(data):
        return heic_size(data, MAX_PIXELS)
    picture = _open(data)
    _refuse_too_many_pixels(picture)
    if picture.format == "TIFF":
        return photo_with_size(picture)[1]
    return _upright(picture.size, _orientation(picture))


def declared_pixels(data: bytes) -> int:
    """How many pixels the header of a picture file declares: all that decoding it costs; 0 where it says nothing.

    HEIC, whose header another process would have to read, counts as the largest picture.
    """
    if is_heic(data):
        return MAX_PIXELS
    try:
        width, height = _open(data).size
    except UnreadableImage:
        return 0
    return width * height


def is_picture(head: bytes) -> bool:
    """Whether a file that begins with these bytes is a picture of a format that is read here, damaged or not."""
    if is_heic(head):
        return True
    try:
        _open(head)
    except UnreadableImage as error:
        return error.reason != "unknown_format"
    return True


def encode_png(image: np.ndarray) -> bytes:
    """Encode uint8 (H, W, 3) or (H, W) as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def invert(images: np.ndarray) -> np.ndarray:
    """Swap dark and light: uint8 of any shape to the same shape."""
    return 255 - images


def to_rgb(grey: np.ndarray) -> np.ndarray:
    """Grey images in three equal channels, for programs that expect colour: uint8 (..., H, W) to (..., H, W, 3)."""
    return np.stack([grey] * CHANNELS, axis=-1)


def resize_photo(photo: np.ndarray) -> np.ndarray:
    """Resize the whole photo, whatever it shows, as the article does: uint8 (H, W, 3) to uint8 (28, 28, 3)."""
    picture = Image.fromarray(photo).resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BILINEAR)
    return np.array(picture)


def _open(data: bytes) -> Image.Image:
    """Read only the header; a size beyond Pillow's own limit, three times ours, is refused like one beyond ours."""
    try:
        return Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise UnreadableImage(
            "the bytes are not a picture in a format that is read here",
            f"one of {', '.join(FORMATS)}, HEIC",
            "save or export the picture as PNG or JPEG (an SVG or a PDF too)",
            reason="unknown_format",
        ) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnreadableImage(
            "the picture declares far more pixels than a photo has", *_SMALLER, reason="too_many_pixels"
        ) from error
    except _DECODING_ERRORS as error:
        raise UnreadableImage(
            f"the file's header is damaged ({type(error).__name__})", *_COMPLETE, reason="damaged"
        ) from error


def _refuse_too_many_pixels(picture: Image.Image) -> None:
    """Raise UnreadableImage for more than MAX_PIXELS, which a file's header declares before any of them is decoded."""
    width, height = picture.size
    if width * height > MAX_PIXELS:
        raise UnreadableImage(f"the picture declares {width} x {height} pixels", *_SMALLER, reason="too_many_pixels")


def _refuse_too_many_scans(data: bytes) -> None:
    """Raise UnreadableImage for a JPEG of more than MAX_JPEG_SCANS, counted as libjpeg would meet them.

    What lies inside a segment, such as a thumbnail, and what follows the picture's end, such as the film of a phone's
    motion photo, is not decoded, so it is not counted.
    """
    scans = place = 0
    for _ in range(MAX_JPEG_SEGMENTS):
        marker = _JPEG_MARKER.search(data, place)
        if marker is None or marker[0] == _JPEG_END:
            return
        scans += marker[0] == _JPEG_SCAN
        if scans > MAX_JPEG_SCANS:
            break
        place = marker.end() + max(2, int.from_bytes(data[marker.end() : marker.end() + 2], "big"))
    raise UnreadableImage(
        "the JPEG file makes an unusual number of passes over the picture, or has an unusual number of parts",
        f"at most {MAX_JPEG_SCANS} scans and {MAX_JPEG_SEGMENTS:,} segments",
        "save the picture again as a plain JPEG or PNG",
        reason="too_many_scans",
    )


def _to_rgb_picture(picture: Image.Image, longer_side: int) -> Image.Image:
    """Convert any of Pillow's modes to RGB: palette, alpha, 1-bit, CMYK, 16-bit, 32-bit and float."""
    if picture.mode.startswith(("I", "F")):
        return _from_deep_pixels(picture, longer_side).convert("RGB")
    if picture.has_transparency_data:
        return _over_paper(_reduce(picture.convert("RGBA"), longer_side))
    return picture.convert("RGB")


def _from_deep_pixels(picture: Image.Image, longer_side: int) -> Image.Image:
    """Stretch grey pixels of 16 or 32 bits to 0..255, since files seldom use their whole range, and reduce them.

    This is done tile by tile: as numbers, the pixels of a large picture would take ten times its memory.
    """
    across, down = block = _block(picture.size, longer_side)
    low, high = _range(picture, block)
    grey = np.zeros((-(-picture.height // down), -(-picture.width // across)), np.uint8)
    for left, top, values in _tiles(picture, block):
        spread = (np.nan_to_num(values, nan=low, posinf=high, neginf=low) - low) * (255 / max(high - low, 1e-30))
        reduced = np.asarray(Image.fromarray(np.clip(spread, 0, 255)).reduce(block))
        x, y = left // across, top // down
        grey[y : y + reduced.shape[0], x : x + reduced.shape[1]] = reduced
    return Image.fromarray(grey)


def _range(picture: Image.Image, block: tuple[int, int]) -> tuple[float, float]:
    """What becomes black, the least finite value or 0, and what becomes white, the greatest."""
    finite = (values[np.isfinite(values)] for _, _, values in _tiles(picture, block))
    ends = [(float(values.min()), float(values.max())) for values in finite if values.size]
    return (min(0.0, *(low for low, _ in ends)), max(high for _, high in ends)) if ends else (0.0, 1.0)


def _tiles(picture: Image.Image, block: tuple[int, int]) -> Iterator[tuple[int, int, np.ndarray]]:
    """Parts of a picture of one channel, whole blocks each: left, top and the pixels, float32 (H, W)."""
    width, height = (side * max(1, TILE_SIDE // side) for side in block)
    for top, left in itertools.product(range(0, picture.height, height), range(0, picture.width, width)):
        box = (left, top, min(left + width, picture.width), min(top + height, picture.height))
        yield left, top, np.asarray(picture.crop(box), dtype=np.float32)


def _over_paper(picture: Image.Image) -> Image.Image:
    """Lay an RGBA picture over white, or over black if white would hide it, as it would chalk."""
    pixels = np.asarray(picture)
    visible = np.asarray(picture.convert("L"))[pixels[..., 3] >= 128]
    hidden_by_white = visible.size > 0 and np.percentile(visible, 1) > LARGEST_INVISIBLE_LUMINANCE
    paper = Image.new("RGBA", picture.size, "black" if hidden_by_white else "white")
    return Image.alpha_composite(paper, picture).convert("RGB")


def _block(size: tuple[int, int], longer_side: int) -> tuple[int, int]:
    """Width and height of the blocks that become one pixel, so that less than twice `longer_side` is left."""
    factor = max(1, max(size) // longer_side)
    return min(factor, size[0]), min(factor, size[1])


def _reduce(picture: Image.Image, longer_side: int) -> Image.Image:
    """Average whole blocks of pixels until less than twice `longer_side` is left along the longer side."""
    block = _block(picture.size, longer_side)
    return picture if max(block) < 2 else picture.reduce(block)


def _orientation(picture: Image.Image) -> int:
    """EXIF orientation, 1 to 8; metadata that cannot be read is no reason to refuse a picture."""
    try:
        return picture.getexif().get(ExifTags.Base.Orientation, 1)
    except _DECODING_ERRORS:
        return 1


def _turn(picture: Image.Image, orientation: int) -> Image.Image:
    return picture.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else picture


def _upright(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Width and height of a picture of this size that is turned upright."""
    return (size[1], size[0]) if orientation in (5, 6, 7, 8) else size
