"""Bodies that a client compressed, gzip or deflate: unpacked as they come, and never to more than a body may hold."""

import zlib

from digits.errors import RequestError

ENCODINGS = ("gzip", "deflate")
_GZIP, _ZLIB, _RAW = 31, 15, -15
"""How zlib is told what is around the data: gzip's header, zlib's own, or nothing."""


_HEADER = 2
"""Bytes of zlib's header: by then it is seen whether there is one."""


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
        self.encoding, self.most, self.size, self._raw = encoding, most, 0, False
        self._unpacker = zlib.decompressobj(_GZIP if encoding == "gzip" else _ZLIB)
        self._head = b""
        """What came before anything was unpacked: it may have to be read in the other way."""

    def feed(self, data: bytes) -> bytes:
        """What a piece holds. RequestError where it is damaged, or reason too_large where the body holds too much."""
        try:
            unpacked = self._unpacker.decompress(data, self.most - self.size + 1)
        except zlib.error as error:
            if self.size or self._raw or self.encoding != "deflate":
                raise self._damaged() from error
            # Some clients leave zlib's header out, as the name says and the standard does not.
            self._unpacker, self._raw = zlib.decompressobj(_RAW), True
            return self.feed(self._head + data)
        if not self.size and not self._raw and len(self._head) < _HEADER:
            self._head += data
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
        if not self._unpacker.eof or self._unpacker.unused_data:
            raise self._damaged()

    def _damaged(self) -> RequestError:
        return RequestError(
            f"the body is no whole {self.encoding} data",
            f"a body that was packed as its Content-Encoding says: {self.encoding}",
            "send it again, or without Content-Encoding",
            reason="encoding",
        )
