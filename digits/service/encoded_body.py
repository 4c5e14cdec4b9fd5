"""Bodies that a client compressed, gzip or deflate: unpacked as they come, and never to more than a body may hold."""

import zlib

from digits.errors import RequestError

ENCODINGS = ("gzip", "deflate")
_GZIP, _ZLIB, _RAW = 31, 15, -15
"""How zlib is told what is around the data: gzip's header, zlib's own, or nothing."""


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
        self.encoding, self.most, self.size = encoding, most, 0
        self._unpacker = zlib.decompressobj(_GZIP if encoding == "gzip" else _ZLIB)
        self._begun = False

    def feed(self, data: bytes) -> bytes:
        """What a piece holds. RequestError where it is damaged, or reason too_large where the body holds too much."""
        try:
            unpacked = self._unpacker.decompress(data, self.most - self.size + 1)
        except zlib.error as error:
            if self._begun or self.encoding != "deflate":
                raise self._damaged() from error
            # Some clients leave zlib's header out, as the name says and the standard does not.
            self._unpacker = zlib.decompressobj(_RAW)
            self._begun = True
            return self.feed(data)
        self._begun = self._begun or bool(data)
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
