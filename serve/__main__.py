"""`python -m serve [config.yaml] [key=value ...]`: the same as `digits serve`."""

import sys

from digits.__main__ import serve

if __name__ == "__main__":
    serve(sys.argv[1:])
