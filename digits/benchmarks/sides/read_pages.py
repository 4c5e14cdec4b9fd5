"""Digits and seconds of reading the pictures of a folder with the shipped networks.

Argument: the folder. The JSON document is that of digits/benchmarks/peers/read_pages.py.
"""

import json
import sys
import time
from pathlib import Path

from digits.benchmarks.peers.read_pages import SUFFIXES
from digits.errors import NotADigit, UnreadableImage
from digits.reading.networks import read


def digits_of(path: Path) -> str:
    """All digits that are read on a picture, in order; none where it is refused."""
    try:
        return "".join(str(one.digit) for one in read(path).digits)
    except (NotADigit, UnreadableImage):
        return ""


def main(folder: Path) -> None:
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    digits_of(paths[0])
    started = time.perf_counter()
    digits = {path.name: digits_of(path) for path in paths}
    print(json.dumps({"digits": digits, "seconds": time.perf_counter() - started}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
