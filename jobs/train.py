#!/usr/bin/env python
"""Trains networks to read handwritten digits, on Ray, and registers the best one.

Without flags: the recommended recipe on the shipped MNIST, on all that this machine or cluster has.
The article's experiment: --architecture both.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

if __name__ == "__main__":
    from digits import stopping

    stopping.listen()  # before the imports below, which take seconds

from digits.commands.console import run_job
from digits.commands.training import TrainSettings, train

if __name__ == "__main__":
    run_job(TrainSettings, train, __doc__)
