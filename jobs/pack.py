#!/usr/bin/env python
"""python jobs/pack.py: the same as `digits pack`; --help tells what it does, and its flags."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from digits.__main__ import run

if __name__ == "__main__":
    run("pack")
