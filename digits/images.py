"""The image contract: what a picture is everywhere in this project.

The image of a digit is grey, uint8 (28, 28), or in colour, uint8 (28, 28, 3): its shape says which. Values are 0..255,
and only the network divides them by 255. A photo is uint8 (H, W, 3), RGB, upright. This file turns bytes into photos
and arrays into PNGs, safely: whatever a stranger uploads takes bounded memory and becomes an array or UnreadableImage.
"""

import io
import struct
import zlib

import numpy as np
from PIL import Image, UnidentifiedImageError

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
LARGEST_INVISIBLE_LUMINANCE = 128
"""A transparent picture is laid over white, unless everything visible in it is brighter than this."""

# What Pillow's readers have been seen to raise on malformed files: each means that the file is at fault, not we.
_DECODING_ERRORS = (
    OSError,  # truncated or broken data stream; UnidentifiedImageError is one
    ValueError,
    SyntaxError,  # Pillow's way to say that a header is malformed
    TypeError,
    LookupError,  # IndexError and KeyError in tables and tags
    EOFError,
    OverflowError,
    ZeroDivisionError,
    AttributeError,
    NotImplementedError,
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
    Warning,  # where warnings are errors
)
_ORIENTATION_TAG = 0x0112
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
    if len(data) == 0:
        raise UnreadableImage(
            "the file has 0 bytes", "a picture", "choose the picture again and resend it", reason="empty"
        )
    if is_heic(data):
        return np.array(_reduce(_to_rgb_picture(decode_heic(data, MAX_PIXELS), longer_side), longer_side))
    picture = _open(data)
    width, height = picture.size
    if width * height > MAX_PIXELS:
        raise UnreadableImage(
            f"the picture declares {width} x {height} pixels",
            f"at most {MAX_PIXELS:,} pixels",
            "scale the picture down, or send the part that shows the digit",
            reason="too_many_pixels",
        )
    if picture.format in ("JPEG", "MPO") and data.count(b"\xff\xda") > MAX_JPEG_SCANS:
        raise UnreadableImage(
            "the JPEG file makes an unusual number of passes over the picture",
            f"at most {MAX_JPEG_SCANS} scans",
            "save the picture again as a plain JPEG or PNG",
            reason="too_many_scans",
        )
    try:
        # Only JPEG files obey: they are scaled by 1/2, 1/4 or 1/8 as they are decoded.
        scale = longer_side / max(width, height)
        picture.draft("RGB", (max(1, int(width * scale)), max(1, int(height * scale))))
        picture.load()
        photo = _turn(_reduce(_to_rgb_picture(picture, longer_side), longer_side), _orientation(picture))
    except _DECODING_ERRORS as error:
        raise UnreadableImage(
            f"the {picture.format} file is truncated or damaged ({type(error).__name__})",
            "a complete picture file",
            "send the picture again, or open it in a picture viewer and save it anew as PNG or JPEG",
            reason="damaged",
        ) from error
    return np.array(photo)


def upright_size(data: bytes) -> tuple[int, int]:
    """Width and height of a picture file in full, as EXIF shows it; UnreadableImage as `decode_image` raises it."""
    if is_heic(data):
        return heic_size(data, MAX_PIXELS)
    picture = _open(data)
    width, height = picture.size
    return (height, width) if _orientation(picture) in (5, 6, 7, 8) else (width, height)


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
            "the picture declares far more pixels than a photo has",
            f"at most {MAX_PIXELS:,} pixels",
            "scale the picture down, or send the part that shows the digit",
            reason="too_many_pixels",
        ) from error
    except _DECODING_ERRORS as error:
        raise UnreadableImage(
            f"the file's header is damaged ({type(error).__name__})",
            "a complete picture file",
            "send the picture again, or open it in a picture viewer and save it anew as PNG or JPEG",
            reason="damaged",
        ) from error


def _to_rgb_picture(picture: Image.Image, longer_side: int) -> Image.Image:
    """Convert any of Pillow's modes to RGB: palette, alpha, 1-bit, CMYK, 16-bit, 32-bit and float."""
    if picture.mode.startswith(("I", "F")):
        return _from_deep_pixels(np.asarray(picture, dtype=np.float32)).convert("RGB")
    if picture.has_transparency_data:
        return _over_paper(_reduce(picture.convert("RGBA"), longer_side))
    return picture.convert("RGB")


def _from_deep_pixels(values: np.ndarray) -> Image.Image:
    """Stretch float32 (H, W), of whatever range, to 0..255: files seldom use the whole range of 16 or 32 bits."""
    finite = values[np.isfinite(values)]
    low, high = (min(float(finite.min()), 0.0), float(finite.max())) if finite.size else (0.0, 1.0)
    spread = (np.nan_to_num(values, nan=low, posinf=high, neginf=low) - low) * (255 / max(high - low, 1e-30))
    return Image.fromarray(np.clip(spread, 0, 255).astype(np.uint8))


def _over_paper(picture: Image.Image) -> Image.Image:
    """Lay an RGBA picture over white, or over black if white would hide it, as it would chalk."""
    pixels = np.asarray(picture)
    visible = np.asarray(picture.convert("L"))[pixels[..., 3] >= 128]
    hidden_by_white = visible.size > 0 and np.percentile(visible, 1) > LARGEST_INVISIBLE_LUMINANCE
    paper = Image.new("RGBA", picture.size, "black" if hidden_by_white else "white")
    return Image.alpha_composite(paper, picture).convert("RGB")


def _reduce(picture: Image.Image, longer_side: int) -> Image.Image:
    """Average whole blocks of pixels until less than twice `longer_side` is left along the longer side."""
    factor = max(picture.size) // longer_side
    if factor < 2:
        return picture
    return picture.reduce((min(factor, picture.width), min(factor, picture.height)))


def _orientation(picture: Image.Image) -> int:
    """EXIF orientation, 1 to 8; metadata that cannot be read is no reason to refuse a picture."""
    try:
        return picture.getexif().get(_ORIENTATION_TAG, 1)
    except _DECODING_ERRORS:
        return 1


def _turn(picture: Image.Image, orientation: int) -> Image.Image:
    return picture.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else picture
