#!/usr/bin/env python
"""Judges a checkpoint: on the validation digits it never trained on, and on a folder of labelled photos.

Writes report.html (which factor of a photo breaks which network, what each measure gives, every photo with its
answer), metrics.json, history.csv, photos.csv and pictures into a run folder of the storage path.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

if __name__ == "__main__":
    from digits import stopping

    stopping.listen()  # before the imports below, which take seconds

from digits.commands.console import run_job
from digits.commands.evaluation import EvaluateSettings, evaluate_checkpoint

if __name__ == "__main__":
    run_job(EvaluateSettings, evaluate_checkpoint, __doc__)
