"""Connections for the HTTP requests of jobs: they reach public addresses only, and end in time.

A name is resolved once. All of its addresses are checked, and the connection goes to one of the checked addresses. So
neither the name of an internal machine, nor an unusual spelling of its address, nor a DNS answer that changes between
the check and the connection leads to a private network.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from functools import cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection

from ...core.clock import Clock
from . import RequestFailed

Address = IPv4Address | IPv6Address
"""An IP address."""
Network = IPv4Network | IPv6Network
"""A network of IP addresses."""
Resolver = Callable[[str], Sequence[str]]
"""Returns the addresses of a host."""

# From IANA's registries of special-purpose addresses: Python's own lists differ between versions. Of IPv6 only 2000::/3
# is allocated, which excludes ::ffff:0:0/96, 64:ff9b::/96 and others that wrap IPv4.
PUBLIC_IPV6 = IPv6Network("2000::/3")
"""The network of all public addresses of IPv6, and of some that are not public."""
NOT_PUBLIC: tuple[Network, ...] = tuple(
    ip_network(network)
    for network in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
        "224.0.0.0/4", "240.0.0.0/4", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
    )
)  # fmt: skip
"""The networks that requests may not reach unless they are allowed."""


class AddressRefused(RequestFailed):
    """The address is neither public nor in JOB_HTTP_ALLOWED_NETWORKS."""


class RequestTimedOut(RequestFailed):
    """The answer did not arrive completely in time."""


class RequestCancelled(RequestFailed):
    """The run of the request was cancelled."""


def is_reachable(address: Address, allowed: Iterable[Network]) -> bool:
    """Return whether a request may go to `address`: it is public, or in one of the networks `allowed`."""
    if any(address in network for network in allowed):
        return True
    if address.version == 6 and address not in PUBLIC_IPV6:
        return False
    return not any(address in network for network in NOT_PUBLIC)


def system_resolver(host: str) -> list[str]:
    """Return the addresses of `host`, by getaddrinfo(3). Raises its `OSError` or `UnicodeError`."""
    return [str(answer[4][0]) for answer in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]


class Guard:
    """The limits of one request: its addresses, and the time for all redirects and every byte of the answer.

    Another thread may end the request with `cancel`.
    """

    def __init__(
        self, *, allowed: Iterable[str], timeout: float, clock: Clock, resolver: Resolver = system_resolver
    ) -> None:
        """Start the time limit of `timeout` seconds. `allowed` are private networks that may be reached."""
        self.allowed = [ip_network(network) for network in allowed]
        self.timeout = timeout
        self._clock = clock
        self._start = clock.monotonic()
        self._resolver = resolver
        self._lock = threading.Lock()
        self._cancelled = False
        self._answer: Future[Sequence[str]] | None = None
        self._plug: socket.socket | None = None

    def elapsed(self) -> float:
        """Return the seconds since the start."""
        return self._clock.monotonic() - self._start

    def left(self) -> float:
        """Return the seconds that are left. Raises `TimeoutError` if none are left, or `RequestCancelled`."""
        self.require_wanted()
        left = self.timeout - self.elapsed()
        if left <= 0:
            raise TimeoutError
        return left

    def require_wanted(self) -> None:
        """Raise `RequestCancelled` if the request was cancelled."""
        if self._cancelled:
            raise RequestCancelled("the request was cancelled")

    def cancel(self) -> None:
        """End the request, from another thread: the call in which it waits fails."""
        with self._lock:
            self._cancelled = True
            if self._answer is not None:
                with suppress(InvalidStateError):
                    self._answer.set_exception(TimeoutError())
            if self._plug is not None:
                with suppress(OSError):
                    self._plug.shutdown(socket.SHUT_RDWR)

    def release(self) -> None:
        """Forget the connection: it is closed, or about to be."""
        with self._lock:
            if self._plug is not None:
                self._plug.close()
            self._plug = None

    def check(self, host: str, address: Address) -> None:
        """Raise `AddressRefused` unless a request for `host` may go to its `address`."""
        if not is_reachable(address, self.allowed):
            shown = host if host == str(address) else f"{host} ({address})"
            raise AddressRefused(f"{shown} is neither public nor in a network of JOB_HTTP_ALLOWED_NETWORKS")

    def addresses(self, host: str) -> list[Address]:
        """Return all addresses of `host`.

        Raises `AddressRefused` where one of them may not be reached, and `RequestFailed` where there are none.
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
                # An address that does not answer at all leaves time for the next ones.
                return self._connect(address, port, self.left() / (len(others) - index + 1))
            except OSError:
                continue
        return self._connect(last, port, self.left())

    def _connect(self, address: Address, port: int, timeout: float) -> TimedSocket:
        connection = TimedSocket(socket.AF_INET if address.version == 4 else socket.AF_INET6, socket.SOCK_STREAM)
        try:
            self._hold(connection)
            connection.settimeout(timeout)
            connection.connect((str(address), port))
            connection.settimeout(self.left())
        except BaseException:
            connection.close()
            raise
        connection.left = self.left
        return connection

    def _hold(self, connection: socket.socket) -> None:
        # A second descriptor: TLS takes the first one from `connection`, and the number may soon be another file's.
        self.release()
        with self._lock:
            self._plug = connection.dup()
        self.require_wanted()

    def _resolve(self, host: str) -> Sequence[str]:
        # getaddrinfo(3) has no timeout: a thread waits for it, and is abandoned when the time is over.
        answer = self._answer = Future()

        def ask() -> None:
            with suppress(InvalidStateError):  # cancelled meanwhile
                try:
                    answer.set_result(self._resolver(host))
                except Exception as error:
                    answer.set_exception(error)

        threading.Thread(target=ask, name=f"resolve {host}", daemon=True).start()
        return answer.result(self.left())


class TimedSocket(socket.socket):
    """A socket with one deadline for all its calls: the timeout of each is the time left."""

    left: Callable[[], float] | None = None

    def recv_into(self, *args: Any) -> int:
        """Receive into a buffer."""
        self._limit()
        return super().recv_into(*args)

    def send(self, *args: Any) -> int:
        """Send as much as fits."""
        self._limit()
        return super().send(*args)

    def sendall(self, *args: Any) -> None:
        """Send all of the data."""
        self._limit()
        super().sendall(*args)

    def _limit(self) -> None:
        if self.left is not None:
            self.settimeout(self.left())


class TimedTLSSocket(TimedSocket, ssl.SSLSocket):
    """A `TimedSocket` with TLS."""


@cache
def tls_context() -> ssl.SSLContext:
    """Return the TLS settings: the machine's certificate authorities, and names in certificates are checked."""
    context = ssl.create_default_context()
    context.sslsocket_class = TimedTLSSocket
    return context


class GuardedHTTPConnection(HTTPConnection):
    """A connection of urllib3 that its guard opens."""

    guard: Guard

    def _new_conn(self) -> socket.socket:
        return self.guard.connect(self._dns_host, self.port)


class GuardedHTTPSConnection(HTTPSConnection):
    """The same with TLS. The certificate must be for the host's name, not for its address."""

    guard: Guard

    def _new_conn(self) -> socket.socket:
        return self.guard.connect(self._dns_host, self.port)

    def connect(self) -> None:
        """Connect and do the TLS handshake in time."""
        super().connect()
        if isinstance(self.sock, TimedTLSSocket):
            self.sock.left = self.guard.left


def connection_to(scheme: str, host: str, port: int | None, guard: Guard) -> HTTPConnection:
    """Return a connection to `host` that is not open yet. Opening it raises as `Guard.connect` does."""
    connection: GuardedHTTPConnection | GuardedHTTPSConnection
    host = host.strip("[]")
    if scheme == "https":
        connection = GuardedHTTPSConnection(host, port or 443, timeout=guard.timeout, ssl_context=tls_context())
    else:
        connection = GuardedHTTPConnection(host, port or 80, timeout=guard.timeout)
    connection.guard = guard
    return connection
