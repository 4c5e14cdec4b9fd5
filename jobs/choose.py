#!/usr/bin/env python
"""Shows the checkpoints of a storage path and which of them is the best; --checkpoint makes another one the best.

That one stays the best until a later training leaves a better one that can be compared with it. So one goes back to an
earlier network, or on to one that was measured on other data.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

if __name__ == "__main__":
    from digits import stopping

    stopping.listen()  # before the imports below

from digits.commands.choosing import ChooseSettings, choose
from digits.commands.console import run_job

if __name__ == "__main__":
    run_job(ChooseSettings, choose, __doc__)
