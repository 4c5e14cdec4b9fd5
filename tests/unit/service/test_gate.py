"""What every request passes first, by itself: its origin, its API key, and the size of its body."""

import asyncio
import base64
import gzip
import json

import pytest
from starlette.exceptions import HTTPException

from digits.errors import ConfigurationError
from digits.service.gate import OPEN_PATHS, Gate, problem, read_api_key

KEY = "0123456789abcdef"
PACKED = gzip.compress(b"12345", mtime=0)


class Passed:
    """What came through a gate, and what it answered itself."""

    def __init__(self, *, key=KEY, most=10, origins=()):
        self.refusals, self.bodies, self.sent, self.scopes = [], [], [], []
        self.gate = Gate(self.app, max_body_bytes=most, api_key=key, on_rejected=self.refusals.append, origins=origins)

    async def app(self, scope, receive, send):
        self.scopes.append(scope)
        while scope["type"] == "http":
            message = await receive()
            self.bodies.append(message.get("body"))
            if not message.get("more_body"):
                break

    def request(self, *parts, path="/predict", kind="http", method="POST", **headers):
        """Send a request in parts; gives back this object."""
        messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
        messages.append({"type": "http.request"})  # the body may be left out
        raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]

        async def receive():
            return messages.pop(0)

        async def send(message):
            self.sent.append(message)

        asyncio.run(self.gate({"type": kind, "method": method, "path": path, "headers": raw}, receive, send))
        return self

    @property
    def status(self):
        return self.sent[0]["status"] if self.sent else None

    @property
    def headers(self):
        return {name.decode(): value.decode() for name, value in self.sent[0]["headers"]}

    @property
    def answer(self):
        return json.loads(self.sent[1]["body"])


def basic(text):
    return f"Basic {base64.b64encode(text.encode()).decode()}"


@pytest.mark.parametrize(
    "authorization",
    [
        f"Bearer {KEY}",
        f"bearer  {KEY} ",
        basic(f"anyone:{KEY}"),
        basic(f":{KEY}"),
        basic(f"a:{KEY}").lower()[:6] + basic(f"a:{KEY}")[6:],
    ],
)
def test_the_key_opens(authorization):
    passed = Passed().request(b"picture", authorization=authorization)
    assert (passed.bodies, passed.refusals, passed.status) == ([b"picture", None], [], None)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ""},
        {"authorization": KEY},
        {"authorization": f"Digest {KEY}"},
        {"authorization": "Bearer"},
        *(
            {"authorization": f"Bearer {wrong}"}
            for wrong in (KEY[:-1], KEY + "x", KEY[:-1] + "x", "x" + KEY[1:], KEY.upper())
        ),
        {"authorization": basic(KEY)},
        {"authorization": basic(f"{KEY}:")},
        {"authorization": "Basic !!!"},
        {"authorization": f"Basic {KEY}"},
        {"authorization": basic(f"a:{KEY}")[:-3] + "*" + basic(f"a:{KEY}")[-3:]},
    ],
)
def test_nothing_else_opens_and_the_application_sees_nothing_of_it(headers):
    passed = Passed().request(b"picture", **headers)
    assert (passed.status, passed.refusals, passed.scopes) == (401, ["api_key"], [])
    assert passed.headers["www-authenticate"] == 'Basic realm="digits"'
    detail = passed.answer["detail"]
    assert "\n  expected: " in detail and "\n  what to do: send the header Authorization: Bearer KEY" in detail


def test_health_is_open_without_a_key_and_so_is_everything_where_there_is_none():
    for path in OPEN_PATHS:
        assert Passed().request(path=path).scopes
    assert {"/health", "/v2/health/live", "/v2/health/ready"} == OPEN_PATHS
    assert Passed(key=None).request(b"picture").bodies == [b"picture", None]


def test_what_is_no_http_request_passes_untouched():
    passed = Passed(most=0).request(kind="lifespan")
    assert (passed.scopes[0]["type"], passed.refusals, passed.sent) == ("lifespan", [], [])


@pytest.mark.parametrize("declared", ["0", "10", "", "ten", "-1", "0000000010"])
def test_a_body_that_is_declared_within_the_limit_or_not_at_all_is_counted(declared):
    assert Passed(key=None).request(b"12345", content_length=declared).bodies == [b"12345", None]
    assert Passed(key=None).request(b"12345").bodies == [b"12345", None]


@pytest.mark.parametrize("declared", ["11", "999999999999999999", "1000000000000000000", "9" * 5_000, "0" * 18 + "1"])
def test_a_body_that_is_declared_larger_is_refused_unread(declared):
    passed = Passed(key=None).request(b"1", content_length=declared)
    assert (passed.status, passed.refusals, passed.scopes) == (413, ["too_large"], [])
    assert passed.headers["connection"] == "close"
    for part in ("larger than 10 bytes", "expected: ", "what to do: "):
        assert part in passed.answer["detail"]


def test_a_declared_length_of_eighteen_figures_is_read_as_a_number():
    assert Passed(key=None).request(b"1", content_length="0" * 17 + "5").bodies == [b"1", None]


def test_a_body_that_is_streamed_is_counted_and_ends_where_it_is_too_large():
    assert Passed(key=None).request(b"12345", b"67890").bodies == [b"12345", b"67890", None]
    passed = Passed(key=None)
    with pytest.raises(HTTPException) as refused:
        passed.request(b"12345", b"67890", b"1", b"never read")
    assert (refused.value.status_code, refused.value.headers) == (413, {"connection": "close"})
    assert "larger than 10 bytes" in refused.value.detail
    assert (passed.bodies, passed.refusals) == ([b"12345", b"67890"], ["too_large"])


@pytest.mark.parametrize("encoding", ["gzip", " GZIP "])
def test_a_packed_body_comes_through_unpacked_and_is_whole_with_its_last_piece(encoding):
    passed = Passed(key=None, most=len(PACKED)).request(PACKED[:15], PACKED[15:], content_encoding=encoding)
    assert (b"".join(passed.bodies), passed.refusals) == (b"12345", [])


def test_a_body_that_is_called_not_packed_comes_through_as_it_is():
    assert Passed(key=None).request(b"12345", content_encoding="Identity").bodies == [b"12345", None]


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (PACKED[:-3], 400, "encoding"),
        (b"no gzip", 400, "encoding"),
        (gzip.compress(bytes(41), mtime=0), 413, "too_large"),
    ],
)
def test_a_packed_body_that_is_damaged_or_holds_too_much_is_refused(body, status, reason):
    passed = Passed(key=None, most=40)
    with pytest.raises(HTTPException) as refused:
        passed.request(body, content_encoding="gzip")
    assert (refused.value.status_code, refused.value.headers) == (status, {"connection": "close"})
    assert passed.refusals == [reason] and "expected: " in refused.value.detail


def test_a_body_that_is_packed_in_another_way_is_refused_unread():
    passed = Passed(key=None).request(b"1", content_encoding="br")
    assert (passed.status, passed.refusals, passed.scopes) == (415, ["encoding"], [])
    assert passed.headers["connection"] == "close" and "encoded as br" in passed.answer["detail"]


def test_every_error_has_one_shape_and_under_v2_also_the_key_of_the_protocol():
    plain, protocol = problem("/predict", 404, "gone"), problem("/v2/models", 418, "gone", {"x": "y"})
    assert json.loads(plain.body) == {"detail": "gone"}
    assert json.loads(protocol.body) == {"detail": "gone", "error": "gone"}
    assert (plain.status_code, protocol.status_code, protocol.headers["x"]) == (404, 418, "y")
    refused = json.loads(problem("/v2/models", 422, "gone", reason="blank").body)
    assert refused == {"detail": "gone", "error": "gone", "reason": "blank"}
    assert plain.media_type == protocol.headers["content-type"] == "application/json"


def test_the_key_is_the_first_line_of_its_file(tmp_path, monkeypatch):
    file = tmp_path / "key"
    file.write_text(f"  {KEY} \nnot this\n")
    assert read_api_key(file) == KEY
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read_api_key(type(file)("~/key")) == KEY


def test_a_file_without_a_key_of_sixteen_characters_is_refused(tmp_path):
    file = tmp_path / "key"
    for content in (None, "", "\n" + KEY, KEY[:-1], " " * 20):
        if content is not None:
            file.write_text(content, encoding="utf-8")
        with pytest.raises(ConfigurationError) as refused:
            read_api_key(file)
        assert refused.value.happened == f"api_key_file = {file} holds no API key"
        assert str(file) in refused.value.remedy and "16 characters" in refused.value.expected
    with pytest.raises(ConfigurationError):
        read_api_key(tmp_path)
    file.write_bytes(b"\xff" * 32)
    with pytest.raises(ConfigurationError, match="holds no API key"):
        read_api_key(file)


def test_a_file_that_may_not_be_read_is_refused_as_one_without_a_key(tmp_path, monkeypatch):
    file = tmp_path / "key"
    file.write_text(KEY)

    def forbid(*_, **__):
        raise PermissionError("not yours")

    monkeypatch.setattr(type(file), "read_text", forbid)
    with pytest.raises(ConfigurationError, match="holds no API key"):
        read_api_key(file)


def test_a_key_that_clients_would_send_in_different_ways_is_refused(tmp_path):
    file = tmp_path / "key"
    for key in ("é" + KEY, KEY + "\x80", "ключ" * 8):
        file.write_text(key, encoding="utf-8")
        with pytest.raises(ConfigurationError) as refused:
            read_api_key(file)
        assert refused.value.happened == f"api_key_file = {file} holds a key with letters beyond ASCII"
        assert str(file) in refused.value.remedy and "ASCII" in refused.value.expected
    file.write_text("~" * 16, encoding="utf-8")
    assert read_api_key(file) == "~" * 16


HERE, ELSEWHERE = "http://127.0.0.1:8000", "https://elsewhere.example"


@pytest.mark.parametrize(
    ("origin", "headers", "origins"),
    [
        pytest.param(HERE, {"host": "127.0.0.1:8000"}, (), id="own page"),
        pytest.param("https://digits.example", {"host": "digits.example"}, (), id="own page over TLS"),
        pytest.param(
            "https://digits.example",
            {"host": "10.0.0.7:8000", "x_forwarded_host": "digits.example"},
            (),
            id="own page behind a gateway",
        ),
        pytest.param(ELSEWHERE, {"host": "127.0.0.1:8000"}, (ELSEWHERE,), id="named"),
        pytest.param(ELSEWHERE, {"host": "127.0.0.1:8000"}, ("*",), id="all are named"),
        pytest.param("null", {"host": "127.0.0.1:8000"}, ("*",), id="a page from a file, where all are named"),
    ],
)
def test_pages_of_the_service_and_of_named_origins_may_post(origin, headers, origins):
    passed = Passed(key=None, origins=origins).request(b"123", origin=origin, **headers)
    assert passed.status is None and passed.bodies[0] == b"123" and passed.refusals == []


@pytest.mark.parametrize(
    "origin", [ELSEWHERE, "http://127.0.0.1:8001", "http://127.0.0.1", "http://localhost:8000", "null", "", "file://"]
)
@pytest.mark.parametrize("host", [{"host": "127.0.0.1:8000"}, {}, {"host": ""}], ids=["host", "no host", "empty host"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_pages_of_other_origins_may_not_post(origin, host, method):
    passed = Passed(origins=["https://another.example"]).request(b"123", method=method, origin=origin, **host)
    assert passed.status == 403 and passed.scopes == [] and passed.refusals == ["origin"]
    assert passed.headers["connection"] == "close"
    detail = passed.answer["detail"]
    assert f"page of {origin} sent" in detail and "what to do: " in detail and "cors_origins" in detail


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_pages_of_other_origins_may_look(method):
    passed = Passed(key=None).request(method=method, path="/", origin=ELSEWHERE, host="127.0.0.1:8000")
    assert passed.status is None and len(passed.scopes) == 1


def test_programs_send_no_origin_and_are_not_asked_for_one():
    assert Passed(key=None).request(b"123", host="127.0.0.1:8000").bodies[0] == b"123"
