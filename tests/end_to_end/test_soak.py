"""The service for half an hour, beside a training: all that people send, now and then more than it can answer.

DIGITS_SOAK_MINUTES is how long it runs, 2 at least. What it measured stands in what it prints (`pytest -rP`).
"""

import http.client
import os
import random
import shutil
import signal
import statistics
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import numpy as np
import psutil
import pytest

from digits.benchmarks.serving.load import PATIENCE_S, make_request
from digits.data.mnist import find_mnist
from digits.evaluation.pages.simulated import PLAIN, simulated_page
from digits.evaluation.pages.without_digits import WITHOUT_DIGITS, page_without_digits
from digits.images import encode_png
from tests.end_to_end.faults import Job
from tests.end_to_end.serve_cluster import serving
from tests.end_to_end.test_abuse import malformed_uploads

MINUTES = int(os.environ.get("DIGITS_SOAK_MINUTES", "30"))
SETTLED = 5 if MINUTES > 5 else 1
"""The minute after which the memory of a replica must not grow any more."""
GROWTH = 1.1
FEW, MANY = 4, 24
"""Connections: as many as the service answers at once, and more than it lets wait."""
BURST_S = 10
"""Seconds of each minute with many connections."""
LIMITS = {"max_ongoing_requests": 4, "max_queued_requests": 8}

pytestmark = [pytest.mark.long, pytest.mark.timeout(60 * MINUTES + 900)]


def mixed_requests(digits):
    """Kind, path and body of what is sent: digits, photos, tensors, pages, and what is none of these."""
    rng = np.random.default_rng(0)
    pages = [encode_png(simulated_page(*digits, rng, PLAIN).picture) for _ in range(4)]
    bodies = {
        "28x28": [make_request("png")[1], *(encode_png(image) for image in digits[0][:20])],
        "photo": [make_request("photo")[1]],
        "page": pages,
        "broken": malformed_uploads(rng)[8:60:3],
        "noise": [encode_png(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)) for side in (28, 300, 900)],
        "no digit": [encode_png(page_without_digits(kind, rng)) for kind in WITHOUT_DIGITS],
    }
    return [(kind, path, body) for kind in bodies for body in bodies[kind] for path in ("/predict", "/read")]


@dataclass
class Client:
    """Sends requests on one connection after another, each kind as often as the others, and notes all answers."""

    url: str
    requests: list[tuple[str, str, bytes]]
    statuses: dict[str, Counter] = field(default_factory=lambda: {"few": Counter(), "many": Counter()})
    """How often each status came, with few connections and with many; 0 where there was no whole answer."""
    answers: dict[int, set[tuple[int, bytes]]] = field(default_factory=dict)
    """What each request was answered with."""
    silent: int = 0
    """Answers 503 that do not say when to try again."""
    rng: random.Random = field(default_factory=lambda: random.Random(0))
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def kinds(self):
        return sorted({kind for kind, _, _ in self.requests})

    def send(self, phase, end):
        """Send until a time, by time.monotonic."""
        kinds, connection = self.kinds, None
        while time.monotonic() < end:
            connection = connection or http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=PATIENCE_S)
            with self.lock:
                kind = self.rng.choice(kinds)
                number = self.rng.choice([at for at, request in enumerate(self.requests) if request[0] == kind])
            try:
                connection.request("POST", self.requests[number][1], self.requests[number][2])
                answer = connection.getresponse()
                status, body = answer.status, answer.read()
            except (OSError, http.client.HTTPException):
                status, body, connection = 0, b"", None
            with self.lock:
                self.statuses[phase][status] += 1
                if status in (0, 408, 503):
                    self.silent += status == 503 and answer.headers["retry-after"] is None
                else:
                    self.answers.setdefault(number, set()).add((status, body))

    def send_on(self, connections, phase, seconds, measure=lambda: None):
        """Send on so many connections for some time; what is measured every second."""
        end, measured = time.monotonic() + seconds, []
        threads = [threading.Thread(target=self.send, args=(phase, end)) for _ in range(connections)]
        for thread in threads:
            thread.start()
        while time.monotonic() < end:
            time.sleep(1)
            measured.append(measure())
        for thread in threads:
            thread.join(2 * PATIENCE_S)
            assert not thread.is_alive()
        return measured


@contextmanager
def training(environment, folder):
    """A training that goes on until the end of the block, on its own Ray."""
    digits = folder / "digits"
    digits.mkdir()
    shutil.copy(find_mnist() / "train-00-of-12.parquet", digits / "train-0.parquet")
    flags = ("--architecture", "baseline", "--epochs", 100_000, "--num-workers", 1, "--data", digits)
    job = Job("jobs/train.py", *flags, "--storage-path", folder / "runs", env=environment)
    try:
        job.wait_for("| train loss")
        yield job
    finally:
        job.stop(signal.SIGINT)
        job.wait()


def test_half_an_hour_of_all_kinds_beside_a_training_costs_no_request_and_no_memory(
    environment, storage_path, tmp_path, read_mnist
):
    images, labels = read_mnist("test-00-of-02")
    with serving(storage_path, "haproxy") as cluster, training(environment, tmp_path) as job:
        cluster.deploy("shipped", **LIMITS, autoscaling_config={"min_replicas": 1, "max_replicas": 1})
        client = Client(cluster.url, mixed_requests((images, labels)))
        (replica,) = cluster.replicas()
        process, memory, epochs = psutil.Process(replica["pid"]), [], len(job.lines)
        for minute in range(1, MINUTES + 1):
            client.send_on(MANY, "many", BURST_S)
            held = client.send_on(FEW, "few", 60 - BURST_S, measure=lambda: process.memory_info().rss / 1e6)
            memory.append(statistics.median(held))
            sent = {phase: dict(counts) for phase, counts in client.statuses.items()}
            print(f"minute {minute}: {memory[-1]:.0f} MB, {sent}", flush=True)
        assert [one["pid"] for one in cluster.replicas()] == [replica["pid"]], "the replica was replaced"
        assert job.process.poll() is None and len(job.lines) > epochs, "no training beside it"
    few, many = client.statuses["few"], client.statuses["many"]
    assert set(few) <= {200, 413, 415, 422} and {200, 415, 422} <= set(few), few
    assert set(many) - {200, 413, 415, 422, 408} == {503} and client.silent == 0, many
    assert {client.requests[number][0] for number in client.answers} == set(client.kinds)
    assert all(len(answers) == 1 for answers in client.answers.values()), "a request was answered in two ways"
    assert memory[-1] < GROWTH * memory[SETTLED - 1], memory
