"""Free ports for the servers of the tests."""

import contextlib
import os
import socket
from itertools import cycle, islice

CANDIDATES = islice(cycle(range(20_000, 30_000)), os.getpid() * 2_003 % 10_000, None)
"""Below the ports that the system gives to connections: one of those could be taken before its server starts.

Two runs of tests at the same time, whose process ids are often neighbours, begin far from each other.
"""


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on, different from each other and from those that were given before."""
    ports: list[int] = []
    while len(ports) < count:
        port = next(CANDIDATES)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            ports.append(port)
    return ports
