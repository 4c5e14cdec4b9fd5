#!/usr/bin/env python
"""Measures a running service on this machine: throughput, latency and errors for pictures and tensors.

Bounded in time and connections, and loopback only. With --checkpoint the same API on a bare uvicorn is measured too, in
turns with the service, so that what Ray Serve costs is known from one run. Last line of stdout: one JSON document.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

if __name__ == "__main__":
    from digits import stopping

    stopping.listen()  # before the imports below, which take seconds

from digits.benchmarks.serving.load_test import LoadTestSettings, load_test
from digits.commands.console import run_job

if __name__ == "__main__":
    run_job(LoadTestSettings, load_test, __doc__)
