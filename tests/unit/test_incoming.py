"""When a request has arrived: `cronzimus_site.incoming`."""

from __future__ import annotations

import pytest

from cronzimus_site.incoming import MAX_BODY, MAX_HEAD, Incoming

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"

WHOLE = {
    "a GET": GET,
    "a POST": POST,
    "an empty body": POST.replace(b"5", b"0").removesuffix(b"hello"),
    "a header in other letters": POST.replace(b"Content-Length", b"CONTENT-length"),
    "blanks around a length": POST.replace(b": 5", b":\t 5  "),
    "chunks": CHUNKED + b"5\r\nhello\r\n0\r\n\r\n",
    "no chunk but the last": CHUNKED + b"0\r\n\r\n",
    "an extension of the last chunk": CHUNKED + b"5\r\nhello\r\n00;a=b\r\n\r\n",
    "trailers": CHUNKED + b"5\r\nhello\r\n0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n",
    "chunks after gzip": CHUNKED.replace(b"chunked", b"gzip, chunked") + b"0\r\n\r\n",
}


@pytest.mark.parametrize("request_bytes", WHOLE.values(), ids=WHOLE.keys())
@pytest.mark.parametrize("size", [1, 2, 7, 10_000])
def test_a_request_is_complete_with_its_last_byte(request_bytes: bytes, size: int) -> None:
    incoming = Incoming()
    for start in range(0, len(request_bytes), size):
        assert not incoming.is_complete
        incoming.add(request_bytes[start : start + size])
    assert incoming.is_complete
    assert incoming.take() == request_bytes
    assert not incoming.is_complete


@pytest.mark.parametrize(
    "part",
    [
        b"",
        b"\r\n",
        GET[:-1],
        POST[:-1],
        CHUNKED,
        CHUNKED + b"5\r\nhello\r\n",
        CHUNKED + b"0\r\n",
        CHUNKED + b"10\r\n\r\n",
    ],
)
def test_a_part_is_not_complete(part: bytes) -> None:
    incoming = Incoming()
    incoming.add(part)
    assert not incoming.is_complete


@pytest.mark.parametrize("rest", [GET, b"G"])
def test_a_body_in_chunks_may_be_followed_by_the_next_request(rest: bytes) -> None:
    incoming = Incoming()
    incoming.add(CHUNKED + b"5\r\nhello\r\n0\r\n\r\n" + rest)
    assert incoming.is_complete


def test_a_request_with_both_a_length_and_chunks_is_refused_without_a_wait() -> None:
    incoming = Incoming()
    incoming.add(CHUNKED.replace(b"\r\n\r\n", b"\r\nContent-Length: 50\r\n\r\n"))
    assert incoming.is_complete


def test_a_length_in_the_body_counts_for_nothing() -> None:
    incoming = Incoming()
    incoming.add(POST.removesuffix(b"hello") + b"\nContent-Length: 50"[:5])
    assert incoming.is_complete


def test_a_large_body_is_not_waited_for() -> None:
    incoming = Incoming()
    incoming.add(POST.replace(b"5", b"99999999"))
    assert not incoming.is_complete
    incoming.add(b"x" * MAX_BODY)
    assert incoming.is_complete


def test_a_head_without_an_end_is_too_long() -> None:
    incoming = Incoming()
    incoming.add(b"GET /" + b"x" * (MAX_HEAD - 5))
    assert not incoming.head_is_too_long
    incoming.add(b"x")
    assert incoming.head_is_too_long
    incoming.add(b" HTTP/1.1\r\n\r\n")
    assert not incoming.head_is_too_long


def test_what_arrived_behind_another_request_comes_first() -> None:
    incoming = Incoming()
    incoming.add(POST[30:])
    incoming.put_before(POST[:30])
    assert incoming.is_complete
    incoming.take()
    incoming.put_before(b"")
    assert incoming.take() == b""


def test_a_client_is_told_to_go_on_once_for_each_request() -> None:
    incoming = Incoming()
    for _ in range(2):
        incoming.add(POST.replace(b"Host: a", b"Expect: 100-Continue"))
        assert [incoming.is_told_to_go_on() for _ in range(2)] == [True, False]
        incoming.take()
    incoming.add(POST)
    assert not incoming.is_told_to_go_on()
