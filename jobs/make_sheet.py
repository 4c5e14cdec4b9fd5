#!/usr/bin/env python
"""python jobs/make_sheet.py: the same as `digits make-sheet`; --help tells what it does, and its flags."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from digits.__main__ import run

if __name__ == "__main__":
    run("make-sheet")
