"""gunicorn's worker with threads, which hands a request to a thread only when it is complete.

The threads of gunicorn's own worker wait for their clients: four sockets on which nobody sends anything (browsers open
some ahead of need) keep four threads busy, and a client that sends a byte every few seconds keeps one for as long as it
likes. Here the loop of the worker reads the requests, up to a deadline; a thread never waits for the start of a request
or for a body that the API would take. Nor does the loop wait for clients that are to close their connection.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections import deque
from contextlib import suppress
from functools import partial
from typing import Any

from gunicorn import util
from gunicorn.http.errors import ConfigurationProblem, LimitRequestHeaders, LimitRequestLine
from gunicorn.workers.gthread import TConn, ThreadWorker

from .incoming import Incoming

READ_SECONDS = 15.0
"""A request has to arrive within this time, from its connection or from the answer before it."""
RECEIVE_SECONDS = 5.0
"""The longest wait of a thread for more of a large body."""
SEND_SECONDS = 30.0
"""The longest wait of a thread for a client that takes an answer."""
LINGER_SECONDS = 2.0
"""Time for a client to close a finished connection; if it were closed earlier, the client could lose the answer."""
MAX_RECEIVED = 64 * 1024 * 1024
"""Bytes of incomplete requests that a worker keeps, at most."""
CHUNK = 64 * 1024
"""Bytes that are read at a time."""
TOO_LONG = ": the request line or the headers are too long"
"""The message about the limits in gunicorn.conf.py."""
GO_ON = b"HTTP/1.1 100 Continue\r\n\r\n"
"""The answer to `Expect: 100-continue`."""


class TimedSocket(socket.socket):
    """A socket on which no thread waits for ever."""

    def setblocking(self, flag: bool) -> None:
        """Receive within `RECEIVE_SECONDS`; gunicorn would wait without an end."""
        self.settimeout(RECEIVE_SECONDS if flag else 0.0)

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Send `data` within `SEND_SECONDS`, or raise `TimeoutError`."""
        before = self.gettimeout()
        self.settimeout(SEND_SECONDS)
        try:
            super().sendall(data, flags)
        finally:
            self.settimeout(before)


class Connection(TConn):
    """A connection, with the arrived bytes of its next request."""

    def __init__(self, worker: BufferingWorker, sock: socket.socket, client: Any, server: Any) -> None:
        """Take over `sock`."""
        timed = TimedSocket(sock.family, sock.type, sock.proto, fileno=sock.detach())
        super().__init__(worker.cfg, timed, client, server)
        self.worker = worker
        self.incoming = Incoming()

    def close(self, graceful: bool = False) -> None:
        """Close it. After an answer the client is given time to read it, and the worker's loop does not wait."""
        if graceful:
            self.worker.linger(self.sock)
        else:
            util.close(self.sock)


class BufferingWorker(ThreadWorker):
    """gunicorn's worker with threads, whose loop reads the requests."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Start without connections."""
        super().__init__(*args, **kwargs)
        self.lingering: deque[tuple[float, socket.socket]] = deque()

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """Raise `ConfigurationProblem` if gunicorn is to do TLS itself: this loop reads plain requests."""
        if cfg.is_ssl:
            raise ConfigurationProblem("TLS belongs to the proxy: leave certfile and keyfile out")
        super().check_config(cfg, log)

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Stop after the requests under way are answered. Sockets without bytes do not count."""
        super().handle_exit(sig, frame)
        self.method_queue.defer(self._close_idle)

    def _close_idle(self) -> None:
        for conn in [conn for conn in self.pending_conns if not conn.incoming.data]:
            self.poller.unregister(conn.sock)
            self.pending_conns.remove(conn)
            self.nr_conns -= 1
            conn.close()

    # --- a request arrives -------------------------------------------------------------------------------------------

    def accept(self, listener: socket.socket) -> None:
        """Accept a connection, and wait for its request."""
        try:
            client_sock, client = listener.accept()
        except OSError:  # the client has gone, or another worker was faster
            return
        self.nr_conns += 1
        self.wait_for_request(Connection(self, client_sock, client, listener.getsockname()))

    def on_client_socket_readable(self, conn: Connection, client: Any) -> None:
        """Read the next request of a connection that was kept."""
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        self.wait_for_request(conn)
        self.on_pending_socket_readable(conn, client)

    def wait_for_request(self, conn: Connection) -> None:
        """Let the loop read a request, within `READ_SECONDS` from now."""
        conn.sock.setblocking(False)
        conn.timeout = time.monotonic() + READ_SECONDS
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.on_pending_socket_readable, conn))

    def on_pending_socket_readable(self, conn: Connection, client: Any) -> None:
        """Read the arrived bytes of a request, and hand it to a thread if it is complete."""
        try:
            data = conn.sock.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""  # as if the client had closed the connection
        conn.incoming.add(data)
        if data and not conn.incoming.is_complete and self._may_wait(conn):
            return
        self.poller.unregister(conn.sock)
        self.pending_conns.remove(conn)
        if data and conn.incoming.is_complete:
            self.enqueue_req(conn)
        else:
            self.nr_conns -= 1
            conn.close(graceful=bool(data))

    def _may_wait(self, conn: Connection) -> bool:
        """Tell whether there is room for the rest of a request; refuse one whose head has no end."""
        if conn.incoming.head_is_too_long:
            is_line = b"\r\n" not in conn.incoming.data
            status = b"414 URI Too Long" if is_line else b"431 Request Header Fields Too Large"
            self._send(conn, Answer.of(b"HTTP/1.1 " + status, TOO_LONG))
            return False
        if conn.incoming.is_told_to_go_on():
            self._send(conn, GO_ON)
        # Nobody may fill the memory. The slow sender is not known, so the last one is refused.
        return sum(len(other.incoming.data) for other in self.pending_conns) <= MAX_RECEIVED

    def _send(self, conn: Connection, data: bytes) -> None:
        with suppress(OSError):  # the next read finds out
            conn.sock.send(data)

    def enqueue_req(self, conn: Connection) -> None:
        """Hand a request to a thread. The start of one, which came behind the one before, waits for its rest."""
        if conn.parser is not None:
            conn.incoming.put_before(conn.parser.unreader.take_buffered())
            if not conn.incoming.is_complete:
                self.wait_for_request(conn)
                return
        super().enqueue_req(conn)

    def handle(self, conn: Connection) -> Any:
        """Answer a request, in a thread."""
        conn.data_ready = True
        conn.init()
        conn.parser.unreader.unread(conn.incoming.take())
        return super().handle(conn)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Refuse a request that is not HTTP, or too long. The answer is JSON, like all errors of the API."""
        answer = Answer()
        super().handle_error(req, answer, addr, exc)
        try:
            client.sendall(answer.as_json(exc))
        except OSError:
            self.log.debug("Failed to send error message.")

    # --- a connection ends -------------------------------------------------------------------------------------------

    def linger(self, sock: socket.socket) -> None:
        """Stop sending, and close a connection once its client has, or after `LINGER_SECONDS`."""
        try:
            sock.shutdown(socket.SHUT_WR)
            sock.setblocking(False)
            self.poller.register(sock, selectors.EVENT_READ, self.on_lingering_socket_readable)
        except (OSError, ValueError, KeyError, RuntimeError):  # the client is gone, or the worker has stopped
            util.close(sock)
            return
        self.lingering.append((time.monotonic() + LINGER_SECONDS, sock))

    def on_lingering_socket_readable(self, sock: socket.socket) -> None:
        """Discard the rest that a client sends; close the connection when the client has."""
        try:
            if sock.recv(CHUNK):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self._close_lingering(sock)

    def murder_pending(self) -> None:
        """Close the connections whose requests did not arrive in time, and those that lingered long enough."""
        super().murder_pending()
        now = time.monotonic()
        while self.lingering and self.lingering[0][0] <= now:
            _, sock = self.lingering.popleft()
            if sock.fileno() >= 0:
                self._close_lingering(sock)

    def _close_lingering(self, sock: socket.socket) -> None:
        with suppress(OSError, KeyError, ValueError):
            self.poller.unregister(sock)
        util.close(sock)


class Answer:
    """Stands in for a client's socket while gunicorn writes a page for an error."""

    def __init__(self) -> None:
        """Start empty."""
        self.page = b""

    def gettimeout(self) -> float:
        """Return 0: nothing waits here."""
        return 0.0

    def sendall(self, data: bytes) -> None:
        """Keep the page."""
        self.page += data

    def as_json(self, error: BaseException) -> bytes:
        """Return the same answer with the body of an error of the API."""
        is_limit = isinstance(error, LimitRequestLine | LimitRequestHeaders)
        line = self.page.partition(b"\r\n")[0] or b"HTTP/1.1 500 Internal Server Error"
        return self.of(line, TOO_LONG if is_limit else "")

    @staticmethod
    def of(line: bytes, more: str) -> bytes:
        """Return an answer with this status line, and the body of an error of the API that says `more`."""
        from jobs.api.errors import envelope  # here: Django is not set up while gunicorn reads its settings
        from jobs.api.rendering import to_json

        _, status, reason = line.decode("latin-1").split(" ", 2)
        body = to_json(envelope(int(status), f"{reason}{more}."))
        head = (line, b"Connection: close", b"Content-Type: application/json", b"Content-Length: %d" % len(body))
        return b"\r\n".join((*head, b"", body))
