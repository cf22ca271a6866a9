"""The web as `gunicorn.conf.py` configures it."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.waiting import until

from .conftest import MakeSite
from .support import Site, Web

HOST = b"Host: localhost\r\n"
HEALTH = b"GET /api/health HTTP/1.1\r\n" + HOST + b"\r\n"
POST = b"POST /scheduler/preview HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"
BODY = b'{"trigger": "interval", "seconds": 5}'


@pytest.fixture(scope="module")
def shared_site(make_shared_site: MakeSite) -> Site:
    """The site of these tests."""
    return make_shared_site("sqlite")


@pytest.fixture(scope="module")
def web(shared_site: Site) -> Web:
    """Its web, with two threads."""
    return shared_site.web(threads=2)


@pytest.fixture
def clients(web: Web) -> Iterator[Clients]:
    """A function that opens connections to the web."""
    with ExitStack() as stack:
        yield Clients(web, stack)


class Clients:
    """Opens connections, and closes them in the end."""

    def __init__(self, web: Web, stack: ExitStack) -> None:
        """Connect to `web`."""
        address = urlsplit(web.address)
        self.address = (address.hostname or "", address.port or 0)
        self.stack = stack

    def open(self, data: bytes = b"") -> socket.socket:
        """Return a connection on which `data` was sent."""
        connection = self.stack.enter_context(socket.create_connection(self.address, timeout=20))
        connection.sendall(data)
        return connection


def answer(connection: socket.socket) -> tuple[int, bytes]:
    """Return the status and the body of the next answer."""
    data = b""
    while b"\r\n\r\n" not in data:
        received = connection.recv(1)
        assert received, data
        data += received
    head = data.decode("latin-1")
    length = int(head.lower().partition("content-length: ")[2].partition("\r\n")[0] or 0)
    body = b""
    while len(body) < length:
        body += connection.recv(length - len(body))
    return int(head.split(" ", 2)[1]), body


@pytest.mark.usefixtures("web")
def test_a_worker_leaves_ctrl_c_to_its_master(shared_site: Site) -> None:
    master = shared_site.processes[-1].pid
    (worker,) = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    status = dict(line.split(":", 1) for line in Path(f"/proc/{worker}/status").read_text().splitlines())
    assert int(status["SigIgn"], 16) & (1 << signal.SIGINT - 1)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET /api/hea",
        HEALTH[:-2],
        POST + b"Content-Length: 37\r\n\r\n{",
        POST + b"Transfer-Encoding: chunked\r\n\r\n1",
    ],
    ids=["nothing", "half a line", "half a head", "half a body", "half a chunk"],
)
def test_clients_that_send_no_more_keep_no_thread_busy(web: Web, clients: Clients, sent: bytes) -> None:
    for _ in range(20):
        clients.open(sent)
    started = time.monotonic()
    assert web.ask("GET", "/api/health") == {"status": "running"}
    assert time.monotonic() - started < 15  # gunicorn's own threads wait 5 s for each socket


def test_clients_that_send_a_byte_now_and_then_keep_no_thread_busy(web: Web, clients: Clients) -> None:
    slow = [clients.open(POST + b"Content-Length: 1000\r\n\r\n{") for _ in range(20)]
    started = time.monotonic()
    for _ in range(5):
        for connection in slow:
            connection.send(b" ")
        web.ask("GET", "/api/health")
    assert time.monotonic() - started < 15


def test_clients_that_do_not_close_their_connection_do_not_hold_up_the_others(web: Web, clients: Clients) -> None:
    for _ in range(10):
        clients.open(HEALTH.replace(HOST, HOST + b"Connection: close\r\n"))
    started = time.monotonic()
    web.ask("GET", "/api/health")
    assert time.monotonic() - started < 15


@pytest.mark.slow
def test_a_request_that_does_not_arrive_in_time_is_given_up(clients: Clients) -> None:
    connection = clients.open(POST + b"Content-Length: 37\r\n\r\n{")
    connection.settimeout(60)
    assert connection.recv(1) == b""


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /" + b"x" * 10_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
        (b"GET /" + b"x" * 200_000, 414),
        (b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"y" * 9000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + HOST + b"".join(b"X-%d: y\r\n" % number for number in range(200)) + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + HOST + b"X: y\r\n" * 20_000, 431),
        (b"nonsense\r\n\r\n", 400),
        (POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ],
)  # fmt: skip
def test_what_is_too_long_or_not_http_is_refused_in_the_envelope(
    shared_site: Site, clients: Clients, sent: bytes, status: int
) -> None:
    log = shared_site.processes[-1].log
    before = log.read_text().count("Invalid request")
    found, body = answer(clients.open(sent))
    assert (found, json.loads(body)["code"]) == (status, "INVALID_REQUEST")
    until(lambda: log.read_text().count("Invalid request") > before or len(sent) > 65_536, 20)
    assert max(map(len, log.read_text().splitlines())) < 1000


def test_requests_come_one_after_the_other_on_one_connection(clients: Clients) -> None:
    connection = clients.open()
    for _ in range(3):
        connection.sendall(HEALTH)
        assert answer(connection) == (200, b'{"status":"running"}')


def test_requests_may_be_sent_ahead_of_the_answers(clients: Clients) -> None:
    connection = clients.open(HEALTH * 3 + HEALTH[:20])
    assert [answer(connection)[0] for _ in range(3)] == [200, 200, 200]
    connection.sendall(HEALTH[20:])
    assert answer(connection)[0] == 200


def test_a_body_in_chunks_is_read(clients: Clients) -> None:
    connection = clients.open(POST + b"Transfer-Encoding: chunked\r\n\r\n")
    for start in range(0, len(BODY), 9):
        part = BODY[start : start + 9]
        connection.sendall(b"%x\r\n%s\r\n" % (len(part), part))
    connection.sendall(b"0\r\n\r\n")
    assert answer(connection)[0] == 200


@pytest.mark.parametrize(
    "chunks",
    [
        *(b"zz\r\n{}\r\n0\r\n\r\n", b"-1\r\n{}\r\n0\r\n\r\n", b"1\r\n{}\r\n0\r\n\r\n", b"2;;=\r\n{}\r\n0\r\n\r\n"),
        *(b"2\r\n{}\r\n0\r\nContent-Length: 1\r\n\r\n", b"2\r\n{}\r\n0\r\nno trailer\r\n\r\n"),
    ],
)
def test_chunks_that_are_none_are_refused(clients: Clients, chunks: bytes) -> None:
    status, body = answer(clients.open(POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunks))
    assert (status, json.loads(body)["code"]) == (400, "INVALID_REQUEST")


def test_a_client_that_asks_whether_to_send_its_body_is_told_so(clients: Clients) -> None:
    connection = clients.open(POST + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(BODY))
    assert answer(connection) == (100, b"")
    connection.sendall(BODY)
    statuses = [answer(connection)[0]]
    if statuses == [100]:  # gunicorn says it too
        statuses = [answer(connection)[0]]
    assert statuses == [200]


@pytest.mark.parametrize("size", [300_000, 3_000_000])
def test_a_body_over_the_limit_is_refused_once_it_was_sent(clients: Clients, size: int) -> None:
    connection = clients.open(POST + b"Content-Length: %d\r\n\r\n" % size + b"x" * size)
    status, body = answer(connection)
    assert (status, json.loads(body)["code"]) == (413, "PAYLOAD_TOO_LARGE")


@pytest.mark.slow
def test_idle_connections_do_not_hold_up_the_end(sqlite_site: Site) -> None:
    with ExitStack() as stack:
        clients = Clients(sqlite_site.web(threads=2), stack)
        for _ in range(5):
            clients.open()
        clients.open(HEALTH[:20])
        process = sqlite_site.processes[-1]
        process.send(signal.SIGTERM)
        # gunicorn itself gives up after 30 s.
        until(lambda: process.logged("Worker exiting"), 25, "the end of the worker")
        process.wait(30)
