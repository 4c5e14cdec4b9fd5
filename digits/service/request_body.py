"""From a request to the bytes of its pictures: unpacked, and raw, in form fields or as the data URL of a canvas.

Bodies in gzip or deflate are unpacked as they come, and never to more than a body may hold.
"""

import asyncio
import base64
import binascii
import contextlib
import json
import sys
import zlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Self

from fastapi import Request
from starlette.datastructures import FormData, Headers, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser

from digits.errors import RequestError

# curl --data-binary and fetch announce a raw body with these; its bytes tell whether it is a picture.
_RAW_TYPES = frozenset({"", "application/octet-stream", "application/x-www-form-urlencoded"})
_MULTIPART = "multipart/form-data"
_DATA_URL = b"data:image/"
_MOST_COMMAS = 1000
"""In a JSON body: one is enough, and millions of values would keep everybody waiting while they are parsed."""
ENCODINGS = ("gzip", "deflate")
_GZIP, _ZLIB, _NO_HEADER = 31, 15, -15
"""How zlib is told what is around the data: gzip's header, zlib's own, or nothing."""
_HEADER = 2
"""Bytes of zlib's header."""


class Refused(HTTPException):
    """A request that is answered with a 4xx; `reason` is one word for counting."""

    def __init__(self, status_code: int, reason: str, detail: str) -> None:
        super().__init__(status_code, detail)
        self.reason = reason

    @classmethod
    def because(cls, status_code: int, error: RequestError) -> Self:
        """The refusal that tells a client of `error`."""
        return cls(status_code, error.reason, str(error))


async def pictures_of(request: Request, max_files: int) -> list[bytes]:
    """The picture files of a request, at least one, in order; Refused for a body of another kind.

    Text of 20 MB takes a tenth of a second to decode, so a thread does it: the event loop serves all.
    """
    content_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if content_type == _MULTIPART:
        return await _read_files(request, max_files)
    if content_type.startswith("image/") or content_type in _RAW_TYPES:
        body = await request.body()
        return [await asyncio.to_thread(from_data_url, body) if body.startswith(_DATA_URL) else body]
    if content_type == "text/plain":
        return [await asyncio.to_thread(from_data_url, await request.body())]
    if content_type == "application/json":
        return [await asyncio.to_thread(from_json, await request.body())]
    raise Refused.because(
        415,
        RequestError(
            f"the body is announced as {content_type[:100]}",
            "image/*, application/octet-stream or multipart/form-data; application/json or text/plain for a data URL",
            "send the picture's bytes as they are, or in a form field named file",
            reason="content_type",
        ),
    )


def from_data_url(text: bytes) -> bytes:
    """The picture in a data URL, data:image/png;base64,...; Refused for anything else."""
    head, comma, data = text.strip().partition(b",")
    if not (comma and head.startswith(_DATA_URL) and head.endswith(b";base64")):
        raise _no_data_url(f"the text begins with {text[:30].decode('utf-8', 'replace')!r}")
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error as error:
        raise _no_data_url(f"what follows the comma is no base64 ({error})") from error


def from_json(body: bytes) -> bytes:
    """The picture in {"image": "data:image/png;base64,..."}; Refused for anything else."""
    if body.count(b",") > _MOST_COMMAS:
        raise _no_data_url(f"the JSON holds more than {_MOST_COMMAS:,} commas, which no data URL does")
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise _no_data_url("the body is no JSON") from error
    image = content.get("image") if isinstance(content, dict) else None
    if not isinstance(image, str):
        raise _no_data_url("the JSON has no text under the key image")
    return _from_text(image)


def _from_text(text: str) -> bytes:
    """The picture in a data URL; Refused for anything else."""
    try:
        return from_data_url(text.encode())
    except UnicodeEncodeError as error:  # JSON and UTF-7 can say halves of a character
        raise _no_data_url("the text holds half a character") from error


def _no_data_url(happened: str) -> Refused:
    return Refused.because(
        422,
        RequestError(
            happened,
            'a data URL such as data:image/png;base64,..., as text or as {"image": "data:..."}',
            "send what canvas.toDataURL() gives, or the picture's bytes as they are",
            reason="data_url",
        ),
    )


async def _read_files(request: Request, max_files: int) -> list[bytes]:
    """The content of every form field named `file` or `image`, in order: files, or data URLs as text."""
    async with _form_of(request, max_files) as form:
        fields = [value for name, value in form.multi_items() if name in ("file", "image")]
        pictures = [
            await field.read() if isinstance(field, UploadFile) else await asyncio.to_thread(_from_text, field)
            for field in fields
        ]
    if not pictures:
        raise Refused.because(
            422,
            RequestError(
                "the form has no file in a field named file",
                "one or several pictures",
                "send each picture as a form field named file, as curl -F file=@seven.jpg does",
                reason="form",
            ),
        )
    return pictures


class _WholeForm(MultiPartParser):
    """Starlette's parser, which would take a form that ends early for whole, without the field that is not."""

    def __init__(self, headers: Headers, stream: AsyncGenerator[bytes, None], max_files: int) -> None:
        # Of any size: the body as a whole is bounded by the gate.
        limits = {"max_files": max_files, "max_fields": max_files, "max_part_size": sys.maxsize}
        super().__init__(headers, self._up_to_its_end(stream), **limits)
        self._ended = False

    async def _up_to_its_end(self, stream: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        """The pieces of the body, each of which is parsed before the next one is asked for."""
        async for piece in stream:
            yield piece
        if not self._ended:
            raise MultiPartException("it ends before its closing boundary")

    def on_end(self) -> None:
        """The closing boundary came; the parser passes over what follows it."""
        self._ended = True


@contextlib.asynccontextmanager
async def _form_of(request: Request, max_files: int) -> AsyncIterator[FormData]:
    """The fields of a form; Refused where it is none. Request.form would tell it in its own words."""
    try:
        form = await _WholeForm(request.headers, request.stream(), max_files).parse()
    except (MultiPartException, ValueError) as error:  # ValueError: of a charset that decodes nothing
        raise Refused.because(
            400,
            RequestError(
                f"the form cannot be parsed: {error}",
                f"multipart/form-data up to its closing boundary, and at most {max_files} fields",
                "send each picture as a form field named file, as curl -F file=@seven.jpg does",
                reason="form",
            ),
        ) from error
    try:
        yield form
    finally:
        await form.close()


class Unpacked:
    """Unpacks a body piece by piece."""

    def __init__(self, encoding: str, most: int) -> None:
        """A body in one of ENCODINGS that may hold `most` bytes when it is unpacked; RequestError for another one."""
        if encoding not in ENCODINGS:
            raise RequestError(
                f"the body is encoded as {encoding[:50]}",
                "gzip, deflate or no Content-Encoding",
                "send the body as it is",
                reason="encoding",
            )
        self.encoding, self.most, self.size, self._head = encoding, most, 0, b""
        self._unpacker = zlib.decompressobj(_GZIP) if encoding == "gzip" else None

    def feed(self, data: bytes) -> bytes:
        """What a piece holds. RequestError where it is damaged, or reason too_large where the body holds too much."""
        if self._unpacker is None:
            data = self._head = self._head + data
            if len(data) < _HEADER:
                return b""
            # Some clients leave zlib's header out, as the name says and the standard does not.
            self._unpacker = zlib.decompressobj(_ZLIB if _has_zlib_header(data) else _NO_HEADER)
        try:
            unpacked = self._unpacker.decompress(data, self.most - self.size + 1)
        except zlib.error as error:
            raise self._damaged() from error
        self.size += len(unpacked)
        if self.size > self.most:
            raise RequestError(
                f"the body holds more than {self.most:,} bytes when it is unpacked",
                "at most that many",
                "send a smaller picture; 2,000 pixels a side are more than enough",
                reason="too_large",
            )
        return unpacked

    def end(self) -> None:
        """RequestError where the body ended too early, or went on behind its end."""
        if self._unpacker is None or not self._unpacker.eof or self._unpacker.unused_data:
            raise self._damaged()

    def _damaged(self) -> RequestError:
        return RequestError(
            f"the body is no whole {self.encoding} data",
            f"a body that was packed as its Content-Encoding says: {self.encoding}",
            "send it again, or without Content-Encoding",
            reason="encoding",
        )


def _has_zlib_header(data: bytes) -> bool:
    """Whether data begin as RFC 1950 says; deflate's own never do, since what pads a stored block is zero."""
    return data[0] & 15 == 8 and int.from_bytes(data[:_HEADER], "big") % 31 == 0
