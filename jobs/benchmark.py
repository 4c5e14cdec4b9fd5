#!/usr/bin/env python
"""Measures this project against what a user would pick instead, on the same digits and machine, in the same run.

Every figure is a ratio of two sides that run in turns; the table shows minimum, median and maximum over the turns.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

if __name__ == "__main__":
    from digits import stopping

    stopping.listen()  # before the imports below, which take seconds

from digits.benchmarks.benchmark import BenchmarkSettings, benchmark
from digits.commands.console import run_job

if __name__ == "__main__":
    run_job(BenchmarkSettings, benchmark, __doc__)
