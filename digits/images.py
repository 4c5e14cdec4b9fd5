"""The image contract: what a picture is everywhere in this project.

One digit is uint8 (28, 28, 3), values 0..255; nobody but the network divides by 255. A photo is
uint8 (H, W, 3), RGB, upright. This file turns bytes into photos and arrays into PNGs, safely.
"""

import io
import warnings

import numpy as np
from PIL import Image, ImageOps

from digits.config import CHANNELS, IMAGE_SIZE

MAX_PIXELS = 60_000_000
"""Largest picture that is decoded, width x height in pixels."""
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "MPO", "ICO", "TGA", "PCX", "JPEG2000", "AVIF", "QOI")
"""Formats that are opened: raster formats that Pillow decodes itself, without running programs."""
DECODED_SIZE = 512
"""Longer pictures are decoded at a reduced scale, but never below this side, in pixels."""


class UnreadableImage(ValueError):
    """Bytes that are no picture that can be read safely; the message says why."""
