#!/usr/bin/env python
"""Reads every digit in pictures, folders of them and buckets, on all cores of the cluster.

Shows what it reads as it goes. With --output the answers become a CSV or Parquet file; the same command, typed again
after an interruption, goes on with the pictures that are not read yet.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

if __name__ == "__main__":
    from digits import stopping

    stopping.listen()  # before the imports below, which take seconds

from digits.commands.console import run_job
from digits.commands.reader.pictures import ReadSettings, read_pictures

if __name__ == "__main__":
    run_job(ReadSettings, read_pictures, __doc__)
