"""The load generator counts every answer, and a broken connection as a failure unless a second try succeeds."""

import asyncio
import threading

import pytest

from digits.benchmarks.serving.load import Load

CUT_SHORT = -200
ANSWER = b"HTTP/1.1 %d OK\r\ncontent-length: 5\r\n\r\nhello"


class Server:
    """A server on loopback that answers the requests it gets, one after the other, as a list says; then with 200."""

    def __init__(self, statuses: list[int]) -> None:
        self.statuses = iter(statuses)
        self.connections = 0
        self.requests: list[bytes] = []
        self.loop = asyncio.new_event_loop()
        server = self.loop.run_until_complete(asyncio.start_server(self.serve, "127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.requests.append(head.lower() + await reader.readexactly(4))
                status = next(self.statuses, 200)
                if not status:
                    break
                answer = ANSWER % abs(status)
                writer.write(answer if status > 0 else answer[:-2])
                if status < 0:
                    break
        except asyncio.IncompleteReadError:
            pass  # the client has hung up
        writer.close()

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()


@pytest.fixture
def serve():
    servers = []

    def start(*statuses: int) -> Server:
        servers.append(Server(list(statuses)))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def load(server: Server, **options) -> Load:
    return Load(url=server.url, path="/predict", body=b"body", headers={"content-type": "image/png"}, **options)


def test_every_answer_counts_and_connections_are_used_again(serve):
    server = serve(200, 422, 503)
    result = load(server, connections=3).run(0.3)
    assert result.requests == len(server.requests) > 20
    assert result.statuses == {200: result.requests - 2, 422: 1, 503: 1}
    assert result.failed == 2
    assert result.per_second == pytest.approx((result.requests - 2) / result.seconds)
    assert 0 < result.p50_ms <= result.p95_ms <= result.p99_ms
    assert server.connections == 3


def test_requests_are_sent_as_they_are_given(serve):
    server = serve()
    load(server, connections=1).run(0.05)
    request = server.requests[0]
    assert request.startswith(b"post /predict http/1.1\r\n") and request.endswith(b"\r\n\r\nbody")
    assert b"content-type: image/png\r\n" in request and b"content-length: 4\r\n" in request


def test_a_broken_connection_is_a_failure_of_status_0(serve):
    server = serve(200, 0)
    result = load(server, connections=1).run(0.2)
    assert result.statuses[0] == result.failed == 1
    assert result.statuses[200] > 1
    assert server.connections == 2


def test_an_answer_that_breaks_off_is_a_failure_too(serve):
    server = serve(200, CUT_SHORT)
    result = load(server, connections=1).run(0.2)
    assert result.statuses[0] == result.failed == 1


def test_what_succeeds_when_it_is_sent_again_has_not_failed(serve):
    server = serve(0, 503)
    result = load(server, connections=1, retries=2).run(0.5)
    assert result.statuses == {200: result.requests}
    assert len(server.requests) == result.requests + 2


def test_nobody_listening_is_a_failure_too(serve):
    server = serve()
    server.close()
    server.close = lambda: None
    result = load(server, connections=1).run(0.05)
    assert set(result.statuses) == {0}


def test_bodies_are_kept_where_they_are_asked_for(serve):
    bodies: list[bytes] = []
    result = load(serve(), connections=2, bodies=bodies).run(0.05)
    assert bodies == [b"hello"] * result.requests
