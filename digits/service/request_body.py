"""From a request to the bytes of its pictures: raw, in form fields, or as the data URL that a canvas gives."""

import base64
import binascii
import json
from typing import Self

from fastapi import Request
from python_multipart.exceptions import FormParserError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from digits.errors import RequestError

# curl --data-binary and fetch announce a raw body with these; its bytes tell whether it is a picture.
_RAW_TYPES = frozenset({"", "application/octet-stream", "application/x-www-form-urlencoded"})
_MULTIPART = "multipart/form-data"
_DATA_URL = b"data:image/"


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
    """The picture files of a request, at least one, in order; Refused for a body of another kind."""
    content_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if content_type == _MULTIPART:
        return await _read_files(request, max_files)
    if content_type.startswith("image/") or content_type in _RAW_TYPES:
        body = await request.body()
        return [from_data_url(body) if body.startswith(_DATA_URL) else body]
    if content_type == "text/plain":
        return [from_data_url(await request.body())]
    if content_type == "application/json":
        return [from_json(await request.body())]
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
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise _no_data_url("the body is no JSON") from error
    image = content.get("image") if isinstance(content, dict) else None
    if not isinstance(image, str):
        raise _no_data_url("the JSON has no text under the key image")
    return from_data_url(image.encode())


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
    try:
        async with request.form(max_files=max_files, max_fields=max_files) as form:
            fields = [value for name, value in form.multi_items() if name in ("file", "image")]
            pictures = [
                await field.read() if isinstance(field, UploadFile) else from_data_url(field.encode())
                for field in fields
            ]
    except FormParserError as error:
        raise Refused(400, "form", f"the form cannot be parsed: {error}") from error
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
