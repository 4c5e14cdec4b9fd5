"""Streams all digits of a folder and their inverted copies through Ray Data, keeping none; argument: the folder.

Prints digits, seconds, and the peak of what this process and Ray's object store hold.
"""

import json
import sys
import time

import numpy as np
import ray

from digits import cluster
from digits.data.files import find_digits
from digits.data.read import iterate, read_digits, with_inverted_copies


def main(folder: str) -> None:
    resources, _ = cluster.connect()
    files = find_digits(folder)
    everything = np.ones(files.num_digits, bool)
    start, count, stored = time.perf_counter(), 0, 0.0
    for _, labels in iterate(with_inverted_copies(read_digits(files, everything))):
        count += len(labels)
        free = ray.available_resources().get("object_store_memory", 0.0)
        stored = max(stored, resources["object_store_memory"] - free)
    print(json.dumps({"digits": count, "seconds": time.perf_counter() - start, "object_store_bytes": stored}))


if __name__ == "__main__":
    main(sys.argv[1])
