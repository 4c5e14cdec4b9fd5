"""What every request passes through first: the check of its origin, its API key and its body's size.

Bodies that a client packed (Content-Encoding) are unpacked here too.
"""

import base64
import binascii
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from digits.errors import RequestError, require
from digits.service.request_body import Unpacked
from digits.service.settings import ROOT

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that ask for nothing to be done: browsers send them from everywhere, as for a link."""
OPEN_PATHS = frozenset({"/health", "/v2/health/live", "/v2/health/ready"})
"""Paths that need no API key, for load balancers."""

# The rest of a body that is too large is never read: the connection ends with the answer.
_HANG_UP = {"connection": "close"}


class Gate:
    """ASGI middleware that refuses what is not allowed before reading it, and counts the bytes of what is read."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_body_bytes: int,
        api_key: str | None,
        on_rejected: Callable[[str], None],
        origins: Sequence[str] = (),
    ) -> None:
        self.app = app
        self.max_body_bytes = max_body_bytes
        self.api_key = None if api_key is None else api_key.encode()
        self.origins = frozenset(origins)
        self.on_rejected = on_rejected

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if scope["method"] not in SAFE_METHODS and not self._is_welcome(headers):
            self.on_rejected("origin")
            await problem(scope["path"], 403, self._foreign(headers["origin"]), _HANG_UP)(scope, receive, send)
            return
        if self.api_key is not None and scope["path"] not in OPEN_PATHS and not self._has_key(headers):
            self.on_rejected("api_key")
            # With Basic, a browser asks the person for a name and a password: any name, and the key.
            asking = {"www-authenticate": 'Basic realm="digits"'}
            await problem(scope["path"], 401, self._without_key(), asking)(scope, receive, send)
            return
        declared = headers.get("content-length", "0")
        if declared.isdecimal() and (len(declared) > 18 or int(declared) > self.max_body_bytes):
            self.on_rejected("too_large")
            await problem(scope["path"], 413, self._too_large(), _HANG_UP)(scope, receive, send)
            return
        received = 0
        packed = None
        encoding = headers.get("content-encoding", "identity").strip().lower()
        if encoding != "identity":
            try:
                packed = Unpacked(encoding, self.max_body_bytes)
            except RequestError as error:
                self.on_rejected(error.reason)
                await problem(scope["path"], 415, str(error), _HANG_UP)(scope, receive, send)
                return

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.max_body_bytes:
                self.on_rejected("too_large")
                raise HTTPException(413, self._too_large(), _HANG_UP)
            return message if packed is None or message["type"] != "http.request" else self._unpack(packed, message)

        await self.app(scope, counted, send)

    def _unpack(self, packed: Unpacked, message: Message) -> Message:
        """A piece of a packed body, unpacked."""
        try:
            data = packed.feed(message.get("body", b""))
            if not message.get("more_body", False):
                packed.end()
        except RequestError as error:
            self.on_rejected(error.reason)
            raise HTTPException(413 if error.reason == "too_large" else 400, str(error), _HANG_UP) from error
        return {**message, "body": data}

    def _too_large(self) -> str:
        return str(
            RequestError(
                f"the body is larger than {self.max_body_bytes:,} bytes",
                "at most that many",
                "send a smaller picture; 2,000 pixels a side are more than enough",
            )
        )

    @staticmethod
    def _without_key() -> str:
        return str(
            RequestError(
                "the API key is missing or wrong",
                "the key of this service, which whoever started it put into its api_key_file",
                "send the header Authorization: Bearer KEY",
            )
        )

    def _is_welcome(self, headers: Headers) -> bool:
        """Whether no browser sends this, or one does for a page of this service or of an origin that is named.

        Any page on the web can have a browser post to 127.0.0.1. The browser says whose page it is (Origin), and which
        name it asked (Host, or X-Forwarded-Host behind a gateway that changes Host; no page can set that unasked).
        """
        origin = headers.get("origin")
        if origin is None or not self.origins.isdisjoint({origin, "*"}):
            return True
        host = origin.partition("://")[2]
        return host != "" and host in (headers.get("host"), headers.get("x-forwarded-host"))

    @staticmethod
    def _foreign(origin: str) -> str:
        return str(
            RequestError(
                f"a web page of {origin} sent this",
                "requests of programs, of the service's own page, and of the origins in cors_origins",
                "if the page may use the service, add its origin to cors_origins; behind a gateway, pass Host on",
            )
        )

    def _has_key(self, headers: Headers) -> bool:
        scheme, _, credentials = headers.get("authorization", "").partition(" ")
        given = credentials.strip().encode()
        if scheme.lower() == "basic":
            try:
                given = base64.b64decode(given, validate=True).partition(b":")[2]
            except binascii.Error:
                return False
        elif scheme.lower() != "bearer":
            return False
        return self.api_key is not None and hmac.compare_digest(given, self.api_key)


def problem(
    path: str, status_code: int, detail: str, headers: Mapping[str, str] | None = None, *, reason: str | None = None
) -> Response:
    """The shape of every error; clients of the Open Inference Protocol read its key `error`."""
    extra = {"error": detail} if path.startswith("/v2") else {}
    extra |= {"reason": reason} if reason else {}
    return Response(json.dumps({"detail": detail, **extra}), status_code, headers, media_type="application/json")


def read_api_key(file: Path) -> str:
    """The first line of `file`; ConfigurationError if there is none, or one that clients send in different ways."""
    file = ROOT / file.expanduser()
    try:
        lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    except (OSError, UnicodeDecodeError):
        lines = []
    key = lines[0].strip() if lines else ""
    remedy = f"make one: (umask 077; openssl rand -hex 24 > {file})"
    require(
        len(key) >= 16,
        f"api_key_file = {file} holds no API key",
        "a readable file whose first line is a key of at least 16 characters",
        remedy,
    )
    require(
        key.isascii(),
        f"api_key_file = {file} holds a key with letters beyond ASCII",
        "a key of ASCII letters, digits and signs, which every client sends alike",
        remedy,
    )
    return key
