#!/usr/bin/env python
"""Makes the sheet to repeat the article's experiment with: print it, write fifty digits, photograph it.

jobs/evaluate.py --photos and jobs/make_shards.py take the photo as it is, and so does the service's page. Where each
digit stands says what it is: nothing has to be labelled.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

if __name__ == "__main__":
    from digits import stopping

    stopping.listen()  # before the imports below

from digits.commands.console import run_job
from digits.commands.shards.sheet import MakeSheetSettings, make_sheet

if __name__ == "__main__":
    run_job(MakeSheetSettings, make_sheet, __doc__)
