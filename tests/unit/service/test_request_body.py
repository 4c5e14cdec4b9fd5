"""The bytes of a request's pictures: packed bodies piece by piece, and forms that are none."""

import asyncio
import base64
import gzip
import zlib

import numpy as np
import pytest
from starlette.datastructures import FormData

from digits.errors import RequestError
from digits.images import encode_png
from digits.service import request_body
from digits.service.request_body import Unpacked
from tests.unit.service.pictures import SEVEN, assert_problem

CONTENT = np.random.default_rng(0).integers(0, 4, 3000, dtype=np.uint8).tobytes()


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


WAYS = {
    "gzip": ("gzip", lambda data: gzip.compress(data, mtime=0)),
    "deflate": ("deflate", zlib.compress),
    "deflate without a header": ("deflate", raw_deflate),
}
ways = pytest.mark.parametrize(("encoding", "pack"), WAYS.values(), ids=WAYS)


def unpack(body: bytes, encoding: str, size: int, most: int = len(CONTENT)) -> bytes:
    """A body that comes in pieces of so many bytes."""
    unpacked = Unpacked(encoding, most)
    pieces = [unpacked.feed(body[start : start + size]) for start in range(0, len(body), size)]
    unpacked.end()
    return b"".join(pieces)


@ways
@pytest.mark.parametrize("size", [1, 2, 3, 100, 100_000])
def test_a_packed_body_is_unpacked_however_it_comes(encoding, pack, size):
    assert unpack(pack(CONTENT), encoding, size) == CONTENT


@ways
@pytest.mark.parametrize("size", [1, 64, 100_000])
def test_it_may_hold_as_much_as_an_unpacked_one_and_not_a_byte_more(encoding, pack, size):
    assert unpack(pack(CONTENT), encoding, size, most=len(CONTENT)) == CONTENT
    with pytest.raises(RequestError, match="more than 2,999 bytes when it is unpacked") as refused:
        unpack(pack(CONTENT), encoding, size, most=len(CONTENT) - 1)
    assert refused.value.reason == "too_large"


@ways
def test_no_more_is_unpacked_than_shows_that_it_is_too_much(encoding, pack):
    body = pack(np.random.default_rng(2).bytes(900) + bytes(1_000_000))
    unpacked = Unpacked(encoding, 1000)
    with pytest.raises(RequestError, match="more than 1,000 bytes"):
        for start in range(len(body)):  # the zeros come hundreds a byte
            unpacked.feed(body[start : start + 1])
    assert unpacked.size == 1001


@pytest.mark.parametrize("data", [zlib.compress(CONTENT), raw_deflate(CONTENT)], ids=["zlib", "raw"])
def test_what_is_announced_as_gzip_is_gzip(data):
    with pytest.raises(RequestError, match="no whole gzip data"):
        unpack(data, "gzip", 100)


@ways
@pytest.mark.parametrize("size", [1, 64, 100_000])
def test_one_that_ends_early_goes_on_or_is_damaged_is_refused(encoding, pack, size):
    body = pack(CONTENT)
    for damaged in (body[:-5], body + b"more", body[:40] + bytes(40) + body[80:]):
        with pytest.raises(RequestError, match=f"no whole {encoding} data") as refused:
            unpack(damaged, encoding, size)
        assert refused.value.reason == "encoding"


@pytest.mark.parametrize("level", range(10))
@pytest.mark.parametrize("window", [9, 12, 15])
@pytest.mark.parametrize("content", [b"", b"x", CONTENT, bytes(3000), np.random.default_rng(1).bytes(3000)])
def test_deflate_has_a_header_or_none(level, window, content):
    for wbits in (window, -window):
        packer = zlib.compressobj(level=level, wbits=wbits)
        assert unpack(packer.compress(content) + packer.flush(), "deflate", 1) == content


@pytest.mark.parametrize("body", [b"", b"\x78", b"not packed at all, but text"])
@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_what_was_never_packed_is_refused(body, encoding):
    with pytest.raises(RequestError, match=f"no whole {encoding} data"):
        unpack(body, encoding, 100)


def test_other_encodings_are_refused_by_name():
    with pytest.raises(RequestError, match="encoded as br") as refused:
        Unpacked("br", 10)
    assert refused.value.reason == "encoding"
    with pytest.raises(RequestError) as refused:
        Unpacked("x" * 60, 10)
    assert "x" * 50 in str(refused.value) and "x" * 51 not in str(refused.value)


@pytest.mark.parametrize(
    ("content", "boundary", "told"),
    [
        (b"--other\r\nno form\r\n", "; boundary=edge", "Invalid multipart data"),
        (b"x", "", "Missing boundary"),
        (b'--edge\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n' * 17, "; boundary=edge", "Too many fields"),
    ],
)
def test_a_form_that_cannot_be_parsed_is_told_as_such(client, metrics, content, boundary, told):
    answer = client.post("/predict", content=content, headers={"content-type": f"multipart/form-data{boundary}"})
    detail = assert_problem(answer, 400)
    assert f"the form cannot be parsed: {told}" in detail and "at most 16 fields" in detail and "what to do: " in detail
    assert metrics.reasons == ["form"]


FIRST, SECOND = (
    b'--edge\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + picture + b"\r\n"
    for picture in (SEVEN, SEVEN[:-1])
)


@pytest.mark.parametrize(
    "content",
    [
        FIRST + SECOND,
        FIRST + SECOND + b"--edge\r\n",
        FIRST + SECOND + b"--edge-",
        FIRST + SECOND[:-500],
        FIRST + b"--edge",
        FIRST + SECOND[:40],
        FIRST + b"--edg",
        b"",
    ],
    ids=["boundary", "another part", "one dash", "picture", "dashes", "header", "half a boundary", "everything"],
)
@pytest.mark.parametrize("size", [7, 1_000_000])
def test_a_form_that_ends_before_its_closing_boundary_is_refused_as_a_whole(client, metrics, content, size):
    pieces = (content[start : start + size] for start in range(0, len(content), size))
    answer = client.post("/predict", content=pieces, headers={"content-type": "multipart/form-data; boundary=edge"})
    detail = assert_problem(answer, 400)
    assert "it ends before its closing boundary" in detail and "what to do: " in detail and metrics.reasons == ["form"]


@pytest.mark.parametrize(
    "content",
    [
        FIRST + FIRST + b"--edge--",
        FIRST + FIRST + b"--edge--\r\n",
        FIRST + FIRST + b"--edge--\r\nwords behind it",
        FIRST + FIRST + b"--edge--\r\n" + FIRST,
        b"\r\n" + FIRST + FIRST + b"--edge--",
    ],
    ids=["closed", "line break", "epilogue", "epilogue like a part", "line break before it"],
)
@pytest.mark.parametrize("size", [7, 1_000_000])
def test_a_form_is_whole_with_its_closing_boundary_whatever_follows(client, content, size):
    pieces = (content[start : start + size] for start in range(0, len(content), size))
    answer = client.post("/predict", content=pieces, headers={"content-type": "multipart/form-data; boundary=edge"})
    assert len(answer.json()["predictions"]) == 2


def field_in(charset: str, value: bytes) -> dict:
    """A request with the form field `file` as text in a charset."""
    content = b'--edge\r\nContent-Disposition: form-data; name="file"\r\n\r\n' + value + b"\r\n--edge--\r\n"
    return {"content": content, "headers": {"content-type": f"multipart/form-data; boundary=edge; charset={charset}"}}


@pytest.mark.parametrize(
    "request_of",
    [
        {"content": rb'{"image": "\ud800"}', "headers": {"content-type": "application/json"}},
        {
            "content": rb'{"image": "data:image/png;base64,\udfff"}',
            "headers": {"content-type": "application/json"},
        },
        field_in("utf-7", b"data:image/png;base64,+2AA-"),
    ],
    ids=["JSON", "JSON with a data URL", "UTF-7"],
)
def test_half_a_character_is_no_data_url(client, metrics, request_of):
    detail = assert_problem(client.post("/predict", **request_of), 422)
    assert "the text holds half a character" in detail and "toDataURL" in detail and metrics.reasons == ["data_url"]


def test_a_charset_that_decodes_nothing_makes_no_form(client, metrics):
    detail = assert_problem(client.post("/predict", **field_in("undefined", b"data:image/png;base64,abcd")), 400)
    assert "the form cannot be parsed: " in detail and "undefined encoding" in detail and metrics.reasons == ["form"]


def test_json_of_more_values_than_a_picture_needs_is_refused_before_it_is_parsed(client, metrics):
    url = f"data:image/png;base64,{base64.b64encode(SEVEN).decode()}"
    answers = [client.post("/predict", json={"image": url, "more": [[]] * count}) for count in (999, 1000)]
    assert answers[0].json() == client.post("/predict", content=SEVEN).json()
    assert "more than 1,000 commas" in assert_problem(answers[1], 422) and metrics.reasons == ["data_url"]


def test_the_data_url_in_a_form_may_be_as_large_as_a_photo(client):
    noise = np.random.default_rng(0).integers(0, 256, (800, 800, 3), dtype=np.uint8)
    url = f"data:image/png;base64,{base64.b64encode(encode_png(noise)).decode()}"
    assert len(url) > 2_000_000
    as_text = client.post("/predict", files={"image": (None, url)})
    assert as_text.json() == client.post("/predict", content=encode_png(noise)).json()


@pytest.mark.parametrize("data", ["@@@@", "a", "iVBO*Rw0", "iVBORw0KGgo=extra"])
def test_a_data_url_that_is_no_base64_is_told_as_such(client, metrics, data):
    answer = client.post("/predict", content=f"data:image/png;base64,{data}", headers={"content-type": "text/plain"})
    assert "what follows the comma is no base64" in assert_problem(answer, 422) and metrics.reasons == ["data_url"]


def test_a_form_without_pictures_is_counted_as_a_form(client, metrics):
    assert_problem(client.post("/predict", files={"other": ("a", b"x")}), 422)
    assert metrics.reasons == ["form"]


def test_files_of_a_form_are_closed(client, monkeypatch):
    closed = []
    close = FormData.close

    async def note(self):
        await close(self)
        closed.extend(field.file.closed for _, field in self.multi_items())

    monkeypatch.setattr(FormData, "close", note)
    client.post("/predict", files=[("file", ("a", SEVEN)), ("file", ("b", b"no picture"))])
    assert closed == [True, True]


@pytest.mark.parametrize(
    "request_of",
    [
        lambda url: {"content": url},
        lambda url: {"content": url, "headers": {"content-type": "text/plain"}},
        lambda url: {"json": {"image": url}},
        lambda url: {"files": {"image": (None, url)}},
    ],
    ids=["raw", "text", "JSON", "form"],
)
def test_data_urls_are_decoded_outside_of_the_event_loop(client, monkeypatch, request_of):
    """One of 20 MB would keep everybody else waiting for a tenth of a second."""
    decode, decoded = request_body.from_data_url, []

    def note(text):
        with pytest.raises(RuntimeError, match="no running event loop"):
            asyncio.get_running_loop()
        decoded.append(decode(text))
        return decoded[-1]

    monkeypatch.setattr(request_body, "from_data_url", note)
    url = f"data:image/png;base64,{base64.b64encode(SEVEN).decode()}"
    answer = client.post("/predict", **request_of(url))
    assert answer.status_code == 200 and decoded == [SEVEN]
