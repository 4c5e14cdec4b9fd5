#!/usr/bin/env python
"""Searches filters, dropout rates and learning rate for the network that reads people's photos best, on Ray Tune.

The article's two networks are always tried first. Poor trials are stopped early; the winner is trained in full, as
jobs/train.py does, and registered if it beats the best checkpoint so far. Ctrl-C reports the best network so far;
--resume goes on with an interrupted search.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

if __name__ == "__main__":
    from digits import stopping

    stopping.listen()  # before the imports below, which take seconds

from digits.commands.console import run_job
from digits.commands.tuning import TuneSettings, tune

if __name__ == "__main__":
    run_job(TuneSettings, tune, __doc__)
