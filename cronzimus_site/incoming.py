"""The arrived bytes of an HTTP request, and whether it is complete. No more is parsed than that needs."""

from __future__ import annotations

import re

MAX_HEAD = 64 * 1024
"""Bytes of a request line and headers, at most."""
MAX_BODY = 512 * 1024
"""Bytes of a body for which the worker waits. The application reads the rest of a larger one, or refuses it."""
END = b"\r\n\r\n"
"""Ends a request line and its headers."""
LENGTH = re.compile(rb"^content-length:[ \t]*([0-9]{1,18})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
ANY_LENGTH = re.compile(rb"^content-length:", re.IGNORECASE | re.MULTILINE)
CHUNKED = re.compile(rb"^transfer-encoding:.*\bchunked\b", re.IGNORECASE | re.MULTILINE)
EXPECTS = re.compile(rb"^expect:[ \t]*100-continue", re.IGNORECASE | re.MULTILINE)
LAST_CHUNK = re.compile(rb"\r\n0+[ \t]*(?:;[^\r\n]*)?\r\n(?:[^\r\n]+\r\n)*\r\n")
"""The end of a body in chunks: a chunk without bytes, and trailers. The next request may follow at once. A body may
hold the same bytes before its end; then a thread reads the rest."""


class Incoming:
    """The bytes of one request after the other."""

    def __init__(self) -> None:
        """Start without bytes."""
        self._reset(b"")

    def _reset(self, data: bytes) -> None:
        self.data = bytearray(data)
        self._searched = 0
        self._body_at = 0
        self._length = 0
        self._is_chunked = self._expects = False

    def add(self, data: bytes) -> None:
        """Add arrived bytes."""
        self.data += data
        if self._body_at:
            return
        end = self.data.find(END, max(self._searched - len(END), 0))
        self._searched = len(self.data)
        if end >= 0:
            self._body_at = end + len(END)
            self._read_head(bytes(self.data[:end]))

    def put_before(self, data: bytes) -> None:
        """Put earlier bytes in front."""
        if data:
            everything = bytes(data) + bytes(self.data)
            self._reset(b"")
            self.add(everything)

    def take(self) -> bytes:
        """Return all bytes, and start anew."""
        data = bytes(self.data)
        self._reset(b"")
        return data

    @property
    def is_complete(self) -> bool:
        """Whether the head is complete, and as much of the body as the worker waits for."""
        body = len(self.data) - self._body_at
        if not self._body_at:
            return False
        if body >= MAX_BODY:
            return True
        if self._is_chunked:
            before = self._body_at - 2  # the line break in front of the body, or of the last chunk
            return bool(LAST_CHUNK.search(self.data, max(before, len(self.data) - MAX_HEAD)))
        return body >= self._length

    @property
    def head_is_too_long(self) -> bool:
        """Whether the head is too long."""
        return not self._body_at and len(self.data) > MAX_HEAD

    def is_told_to_go_on(self) -> bool:
        """Tell, once for each request, whether its client waits for "100 Continue" (RFC 9110, 10.1.1)."""
        expects, self._expects = self._expects, False
        return expects

    def _read_head(self, head: bytes) -> None:
        # A request with both is refused, because a proxy may see another end of it: no body is awaited.
        has_both = bool(CHUNKED.search(head) and ANY_LENGTH.search(head))
        self._is_chunked = not has_both and bool(CHUNKED.search(head))
        self._expects = bool(EXPECTS.search(head))
        length = LENGTH.search(head)
        self._length = int(length[1]) if length and not has_both else 0
