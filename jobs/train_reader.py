#!/usr/bin/env python
"""Trains the network that reads every digit of a page, on Ray, from MNIST and simulated pages alone.

Ray Data makes the pages while Ray Train trains: the same job on one machine and on many. At the end the best epoch, by
its errors on simulated pages of another maker, becomes a reader: RUN/reader, an ONNX file and its record.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

if __name__ == "__main__":
    from digits import stopping

    stopping.listen()  # before the imports below, which take seconds

from digits.commands.console import run_job
from digits.commands.reader.training import TrainReaderSettings, train_reader

if __name__ == "__main__":
    run_job(TrainReaderSettings, train_reader, __doc__)
