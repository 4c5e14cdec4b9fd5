"""`python -m serve [config.yaml] [key=value ...]`: the same as `digits serve`."""

import sys

from digits.service.start import main

if __name__ == "__main__":
    main(sys.argv[1:])
