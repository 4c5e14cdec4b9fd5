#!/usr/bin/env python
"""Looks at this machine or cluster: what each node is, whether workers see their GPUs and train alike, how fast.

It takes a minute or two. The last line, one JSON document, is made to be pasted into a report; it holds no token.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

if __name__ == "__main__":
    from digits import stopping

    stopping.listen()  # before the imports below, which take seconds

from digits.commands.console import run_job
from digits.diagnostics.check import CheckSettings, check

if __name__ == "__main__":
    run_job(CheckSettings, check, __doc__)
