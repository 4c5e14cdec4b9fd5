#!/usr/bin/env python
"""Puts a trained digit network and a trained reader of pages into one folder: a checkpoint that serves as a whole.

A checkpoint as jobs/train.py leaves it has a digit network only; it reads pages with the reader that comes with digits.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

if __name__ == "__main__":
    from digits import stopping

    stopping.listen()  # before the imports below

from digits.commands.console import run_job
from digits.commands.packing import PackSettings, pack

if __name__ == "__main__":
    run_job(PackSettings, pack, __doc__)
