#!/usr/bin/env python
"""Turns digits in the forms that people have into Parquet shards that jobs/train.py --data takes.

Pictures of any size are prepared as the service prepares them, on all cores. What cannot be prepared, what is there
more than once and labels that look wrong are told with file and line. The shards in digits/mnist were made in this way
from MNIST's four IDX files.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

if __name__ == "__main__":
    from digits import stopping

    stopping.listen()  # before the imports below

from digits.commands.console import run_job
from digits.commands.shards.making import MakeShardsSettings, make_shards

if __name__ == "__main__":
    run_job(MakeShardsSettings, make_shards, __doc__)
