#!/usr/bin/env python
"""Measures one worker's step and draws how an epoch's time would go with 1 to 256 workers, beside runs that were timed.

A step is measured in seconds of one core, so a busy machine does not spoil it.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

if __name__ == "__main__":
    from digits import stopping

    stopping.listen()  # before the imports below, which take seconds

from digits.benchmarks.scaling.scale import ScaleSettings, scale
from digits.commands.console import run_job

if __name__ == "__main__":
    run_job(ScaleSettings, scale, __doc__)
