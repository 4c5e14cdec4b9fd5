"""Load on a service in a thread, while the test changes something."""

import threading

from digits.benchmarks.serving.load import Load, Result, make_request
from tests.end_to_end.serve_cluster import ServeCluster, wait_for


def under_load(
    cluster: ServeCluster, kind: str, *, requests: int, **options
) -> tuple[Load, threading.Thread, list[Result]]:
    """Load that goes on until `finish`; returns once `requests` were answered."""
    path, body, headers = make_request(kind)
    load = Load(url=cluster.url, path=path, body=body, headers=headers, **options)
    results: list[Result] = []
    thread = threading.Thread(target=lambda: results.append(load.run(300)))
    thread.start()
    wait_for(lambda: sum(load.statuses.values()) >= requests, f"{requests} answers")
    return load, thread, results


def finish(load: Load, thread: threading.Thread, results: list[Result], *, after: int = 0, total: int = 0) -> Result:
    """Stop the load after so many answers more, and not before so many in total."""
    wanted = max(total, sum(load.statuses.values()) + after)
    wait_for(lambda: sum(load.statuses.values()) >= wanted, f"{wanted} answers")
    load.stopped = True
    thread.join(60)
    return results[0]
