"""The process that decodes one HEIC picture: the file on stdin, a line and raw pixels on stdout.

The line is a word, a width and a height. The word is Pillow's mode of the pixels, which follow row by row, or one of
those below, after which nothing follows. Whatever goes wrong ends the process without a line. The file may be made to
break the decoder, so this process bounds itself before it reads any of it, holds nothing but the file, and imports
nothing of ours.
"""

import resource
import sys

NO_DECODER = "no_decoder"
"""The word where pillow-heif cannot be imported."""
TOO_LARGE = "too_large"
"""The word where the picture declares more pixels than are read."""
MAX_ADDRESS_SPACE = 2**30
"""Bytes that the process may address."""
MAX_PROCESSOR_S = 20
"""Seconds of processor time after which the system ends it."""
BYTES_A_PIXEL = 4
"""Most that a pixel takes."""


def main() -> None:
    """Answer `child.py MOST_PIXELS size|pixels`; with size, no pixels are decoded."""
    most_pixels, asked = int(sys.argv[1]), sys.argv[2]
    bound_this_process(most_pixels)
    try:
        import pillow_heif

        pillow_heif.libheif_info()  # a library that cannot be loaded is told of with its first use
    except ImportError:
        return tell(NO_DECODER)
    options = pillow_heif.options
    options.DECODE_THREADS = 1
    options.THUMBNAILS = options.DEPTH_IMAGES = options.AUX_IMAGES = False
    picture = pillow_heif.open_heif(sys.stdin.buffer.read())  # the primary one, where there are several
    width, height = picture.size
    if width * height > most_pixels:
        return tell(TOO_LARGE, width, height)
    if asked == "size":
        return tell(picture.mode, width, height)
    pixels = picture.data  # decoded here, and turned as the file's own properties say
    tell(picture.mode, *picture.size)
    sys.stdout.buffer.write(pixels)


def bound_this_process(most_pixels: int) -> None:
    """Bound its memory, its processor time and what it writes, for good; it leaves no core file."""
    bounds = {
        resource.RLIMIT_CPU: MAX_PROCESSOR_S,
        resource.RLIMIT_FSIZE: most_pixels * BYTES_A_PIXEL + 1000,
        resource.RLIMIT_CORE: 0,
    }
    if sys.platform != "darwin":  # which maps more than that before the first line runs
        bounds[resource.RLIMIT_AS] = MAX_ADDRESS_SPACE
    for kind, bound in bounds.items():
        _, before = resource.getrlimit(kind)
        bound = bound if before == resource.RLIM_INFINITY else min(bound, before)
        resource.setrlimit(kind, (bound, bound))


def tell(word: str, width: int = 0, height: int = 0) -> None:
    """Write the line."""
    sys.stdout.buffer.write(f"{word} {width} {height}\n".encode())


if __name__ == "__main__":
    main()
