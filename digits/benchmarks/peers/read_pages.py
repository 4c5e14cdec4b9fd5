"""Reads the pictures of a folder with a reader that people use today; a program for an environment without digits.

    python read_pages.py rapidocr|tesseract FOLDER

The last line is a JSON document: the digits read on each picture, by file, and the seconds that reading took.
"""

import importlib
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp"}


def rapidocr() -> Callable[[Path], str]:
    """PP-OCRv6, detector and recogniser, as its package sets it up."""
    engine = importlib.import_module("rapidocr").RapidOCR()
    return lambda path: " ".join(engine(str(path)).txts or ())


def tesseract() -> Callable[[Path], str]:
    """Tesseract, told to look for digits in sparse text."""
    options = ("--psm", "11", "-c", "tessedit_char_whitelist=0123456789")

    def read(path: Path) -> str:
        done = subprocess.run(["tesseract", str(path), "stdout", *options], capture_output=True, text=True)
        return done.stdout if done.returncode == 0 else ""  # it refuses pictures of few pixels

    return read


def main(name: str, folder: Path) -> None:
    read = {"rapidocr": rapidocr, "tesseract": tesseract}[name]()
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    read(paths[0])  # the first call sets things up
    started = time.perf_counter()
    digits = {path.name: re.sub(r"\D", "", read(path)) for path in paths}
    print(json.dumps({"digits": digits, "seconds": time.perf_counter() - started}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
