"""The load of the API's benchmark: a few connections, each with one request under way, for some seconds.

A process of its own, without a library, so that what is measured is the server. It reads what to send from its standard
input, and writes what came of it to its standard output, both as JSON.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

END = b"\r\n\r\n"
CHUNK = 1 << 18
PATIENCE = 10.0
"""Seconds without any answer after which the load is given up."""


@dataclass
class Request:
    """A request that is sent again and again: `{n}` in its body becomes another number each time, `{job}` in its path
    another of so many `jobs`."""

    method: str
    path: str
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    sent: int = 0
    jobs: int = 1

    def next(self) -> bytes:
        """Return the bytes of the next request."""
        self.sent += 1
        body = self.body.replace("{n}", str(self.sent)).encode()
        path = self.path.replace("{job}", f"job-{self.sent % self.jobs:06}")
        headers = {"Host": "127.0.0.1", **self.headers}
        if body:
            headers |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
        lines = [f"{self.method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join(lines).encode() + END + body


class Connection:
    """One connection, kept alive: a request goes out when the answer to the one before is complete."""

    def __init__(self, port: int, request: Request) -> None:
        """Connect, and send the first request."""
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.request = request
        self.send()

    def send(self) -> None:
        """Send the next request."""
        self.buffer, self.length = bytearray(), -1
        data = self.request.next()
        self.sent_at = time.perf_counter()
        self.socket.sendall(data)

    def receive(self) -> int:
        """Take the received bytes, and return the status of the answer once it is complete; otherwise 0."""
        data = self.socket.recv(CHUNK)
        if not data:
            raise ConnectionError(f"the server closed the connection after {bytes(self.buffer[:200])!r}")
        self.buffer += data
        if self.length < 0 and (end := self.buffer.find(END)) >= 0:
            self.length = end + len(END) + _content_length(bytes(self.buffer[:end]))
        return int(self.buffer[9:12]) if 0 <= self.length <= len(self.buffer) else 0


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0  # a 304 has none


def load(port: int, request: Request, *, connections: int, seconds: float) -> dict[str, Any]:
    """Send for so many `seconds`; return the number of answers by status, and the seconds of each."""
    waits, statuses = [], Counter[int]()
    with selectors.DefaultSelector() as selector:
        for _ in range(connections):
            connection = Connection(port, request)
            selector.register(connection.socket, selectors.EVENT_READ, connection)
        started_at = now = time.perf_counter()
        while now < started_at + seconds:
            ready = selector.select(PATIENCE)
            if not ready:
                raise TimeoutError(f"no answer within {PATIENCE:.0f} s")
            for key, _ in ready:
                connection = key.data
                if status := connection.receive():
                    now = time.perf_counter()
                    waits.append(now - connection.sent_at)
                    statuses[status] += 1
                    connection.send()
        for key in list(selector.get_map().values()):
            key.data.socket.close()
    return {"seconds": now - started_at, "waits": waits, "statuses": statuses, "sent": request.sent}


def main() -> None:
    """Send the load that the standard input describes."""
    asked = json.load(sys.stdin)
    json.dump(load(asked.pop("port"), Request(**asked.pop("request")), **asked), sys.stdout)


if __name__ == "__main__":
    main()
