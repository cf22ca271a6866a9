"""Connections that reach public addresses only, and end in time: what HTTP requests of jobs go through.

A name is resolved once. Every address it has is checked, and the connection goes to one of those that were checked, so
that neither the name of an internal machine, nor an odd way to write its address, nor an answer of the DNS that changes
from one moment to the next leads inside.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from functools import cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection

from ...core.clock import Clock
from .errors import RequestFailed

Address = IPv4Address | IPv6Address
"""An IP address."""
Network = IPv4Network | IPv6Network
"""A network of IP addresses."""
Resolver = Callable[[str], Sequence[str]]
"""What returns the addresses of a host."""

# IANA's registries of special-purpose addresses, spelled out: Python's own lists differ from version to version. Of
# IPv6 only 2000::/3 is given out at all, which leaves out ::ffff:0:0/96, 64:ff9b::/96 and others that wrap IPv4.
PUBLIC_IPV6 = IPv6Network("2000::/3")
"""Where all public addresses of IPv6 are, and some that are not."""
NOT_PUBLIC: tuple[Network, ...] = tuple(
    ip_network(network)
    for network in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
        "224.0.0.0/4", "240.0.0.0/4", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
    )
)  # fmt: skip
"""The networks that requests do not reach, unless they are allowed to."""


class AddressRefused(RequestFailed):
    """The address is neither public nor in JOB_HTTP_ALLOWED_NETWORKS."""


class RequestTimedOut(RequestFailed):
    """The answer was not complete in time."""


def is_reachable(address: Address, allowed: Iterable[Network]) -> bool:
    """Say whether a request may go to `address`: it is public, or in one of the networks `allowed`."""
    if any(address in network for network in allowed):
        return True
    if address.version == 6 and address not in PUBLIC_IPV6:
        return False
    return not any(address in network for network in NOT_PUBLIC)


def system_resolver(host: str) -> list[str]:
    """Return the addresses of `host`, as getaddrinfo(3) has them. Raises `OSError` or `UnicodeError` where it fails."""
    return [str(answer[4][0]) for answer in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]


class Guard:
    """What one request may reach, and until when: its redirects, and every byte of the answer, included."""

    def __init__(
        self, *, allowed: Iterable[str], timeout: float, clock: Clock, resolver: Resolver = system_resolver
    ) -> None:
        """Start the time: `timeout` seconds. `allowed` are the networks to reach beside the public ones."""
        self.allowed = [ip_network(network) for network in allowed]
        self.timeout = timeout
        self._clock = clock
        self._start = clock.monotonic()
        self._resolver = resolver

    def elapsed(self) -> float:
        """Return the seconds since the start."""
        return self._clock.monotonic() - self._start

    def left(self) -> float:
        """Return the seconds that are left. Raises `TimeoutError` when there are none."""
        left = self.timeout - self.elapsed()
        if left <= 0:
            raise TimeoutError
        return left

    def check(self, host: str, address: Address) -> None:
        """Raise `AddressRefused` unless a request for `host` may go to its `address`."""
        if not is_reachable(address, self.allowed):
            shown = host if host == str(address) else f"{host} ({address})"
            raise AddressRefused(f"{shown} is neither public nor in a network of JOB_HTTP_ALLOWED_NETWORKS")

    def addresses(self, host: str) -> list[Address]:
        """Return all addresses of `host`.

        Raises `AddressRefused` where it has one that is not to be reached, `RequestFailed` where it has none.
        """
        try:
            answers = [ip_address(answer) for answer in dict.fromkeys(self._resolve(host))]
        except TimeoutError:
            raise
        except (OSError, UnicodeError) as error:
            raise RequestFailed(f"{host} does not resolve: {error}") from error
        if not answers:
            raise RequestFailed(f"{host} does not resolve: it has no address")
        for address in answers:
            self.check(host, address)
        return answers

    def connect(self, host: str, port: int) -> TimedSocket:
        """Return a connection to the first address of `host` that answers. Raises as `addresses` does, or `OSError`."""
        *others, last = self.addresses(host)
        for index, address in enumerate(others):
            try:
                # One that swallows what is sent to it leaves time for those after it.
                return self._connect(address, port, self.left() / (len(others) - index + 1))
            except OSError:
                continue
        return self._connect(last, port, self.left())

    def _connect(self, address: Address, port: int, timeout: float) -> TimedSocket:
        connection = TimedSocket(socket.AF_INET if address.version == 4 else socket.AF_INET6, socket.SOCK_STREAM)
        try:
            connection.settimeout(timeout)
            connection.connect((str(address), port))
            connection.settimeout(self.left())
        except BaseException:
            connection.close()
            raise
        connection.left = self.left
        return connection

    def _resolve(self, host: str) -> Sequence[str]:
        # getaddrinfo(3) knows no timeout: a thread waits for it, and is left alone when the time is over.
        answer: Future[Sequence[str]] = Future()

        def ask() -> None:
            try:
                answer.set_result(self._resolver(host))
            except Exception as error:
                answer.set_exception(error)

        threading.Thread(target=ask, name=f"resolve {host}", daemon=True).start()
        return answer.result(self.left())


class TimedSocket(socket.socket):
    """A socket that sends and receives for as long as there is time, however many steps it takes."""

    left: Callable[[], float] | None = None

    def recv_into(self, *args: Any) -> int:
        """Receive into a buffer."""
        self._limit()
        return super().recv_into(*args)

    def send(self, *args: Any) -> int:
        """Send some of it."""
        self._limit()
        return super().send(*args)

    def sendall(self, *args: Any) -> None:
        """Send all of it."""
        self._limit()
        super().sendall(*args)

    def _limit(self) -> None:
        if self.left is not None:
            self.settimeout(self.left())


class TimedTLSSocket(TimedSocket, ssl.SSLSocket):
    """The same, encrypted."""


@cache
def tls_context() -> ssl.SSLContext:
    """Return how TLS is done: with the machine's certificate authorities, and the names in certificates checked."""
    context = ssl.create_default_context()
    context.sslsocket_class = TimedTLSSocket
    return context


class GuardedHTTPConnection(HTTPConnection):
    """A connection of urllib3 that a guard makes."""

    guard: Guard

    def _new_conn(self) -> socket.socket:
        return self.guard.connect(self._dns_host, self.port)


class GuardedHTTPSConnection(HTTPSConnection):
    """The same, encrypted; the certificate has to be that of the host's name, not of its address."""

    guard: Guard

    def _new_conn(self) -> socket.socket:
        return self.guard.connect(self._dns_host, self.port)

    def connect(self) -> None:
        """Connect, and shake hands within the time."""
        super().connect()
        if isinstance(self.sock, TimedTLSSocket):
            self.sock.left = self.guard.left


def connection_to(scheme: str, host: str, port: int | None, guard: Guard) -> HTTPConnection:
    """Return a connection to `host`, not yet opened; to open it raises as `Guard.connect` does."""
    connection: GuardedHTTPConnection | GuardedHTTPSConnection
    host = host.strip("[]")
    if scheme == "https":
        connection = GuardedHTTPSConnection(host, port or 443, timeout=guard.timeout, ssl_context=tls_context())
    else:
        connection = GuardedHTTPConnection(host, port or 80, timeout=guard.timeout)
    connection.guard = guard
    return connection
