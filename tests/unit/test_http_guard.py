"""The guard of outgoing HTTP: the addresses that it allows, and the names and URLs that cannot get around it."""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jobs.functions.http.call import HttpCall
from jobs.functions.http.client import MAX_URL, parse_target
from jobs.functions.http.guard import (
    AddressRefused,
    Guard,
    RequestFailed,
    Resolver,
    TimedSocket,
    is_reachable,
    system_resolver,
    tls_context,
)

PUBLIC = "93.184.215.14"


class FakeClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)


def guard(*answers: str, allowed: Sequence[str] = (), timeout: float = 30, resolver: Resolver | None = None) -> Guard:
    return Guard(allowed=allowed, timeout=timeout, clock=FakeClock(), resolver=resolver or (lambda host: answers))


def reachable(address: str, *allowed: str) -> bool:
    return is_reachable(ipaddress.ip_address(address), [ipaddress.ip_network(network) for network in allowed])


# --- addresses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address", [PUBLIC, "1.1.1.1", "100.63.255.255", "172.32.0.1", "2606:4700::1111", "2a00:1450::1"]
)
def test_public_addresses_are_reachable(address: str) -> None:
    assert reachable(address)


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.255.255.254", "169.254.169.254", "172.16.0.1",  # noqa: S104
        "172.31.255.255", "192.0.0.1", "192.0.0.170", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1",
        "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
        "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "64:ff9b::7f00:1", "64:ff9b::808:808",
        "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::", "2002:808:808::", "3fff::1", "5f00::1",
        "fc00::1", "fd00::1", "fe80::1", "fe80::1%1", "fec0::1", "ff02::1",
    ],
)  # fmt: skip
def test_other_addresses_are_not(address: str) -> None:
    assert not reachable(address)


@given(st.ip_addresses())
@example(ipaddress.ip_address("192.0.0.9"))
@example(ipaddress.ip_address("2001:1::1"))
def test_nothing_is_reachable_that_python_calls_special(address: Any) -> None:
    special = (
        address.is_private or address.is_loopback or address.is_link_local or address.is_multicast
        or address.is_reserved or address.is_unspecified or not address.is_global
    )  # fmt: skip
    assert not (special and is_reachable(address, []))


def test_an_allowed_network_is_reachable_and_nothing_beside_it() -> None:
    assert reachable("10.1.2.3", "10.1.0.0/16", "fd00::/8")
    assert reachable("fd12::1", "10.1.0.0/16", "fd00::/8")
    assert not reachable("10.2.0.1", "10.1.0.0/16", "fd00::/8")
    assert not reachable("::ffff:10.1.2.3", "10.1.0.0/16", "fd00::/8")


# --- names -----------------------------------------------------------------------------------------------------------


def test_all_addresses_of_a_name_are_found() -> None:
    found = guard(PUBLIC, "2606:4700::1111", PUBLIC).addresses("example.com")

    assert [str(address) for address in found] == [PUBLIC, "2606:4700::1111"]


@pytest.mark.parametrize("answers", [(PUBLIC, "10.0.0.1"), ("10.0.0.1", PUBLIC), (PUBLIC, "::1")])
def test_one_internal_address_among_public_ones_refuses_the_name(answers: tuple[str, ...]) -> None:
    with pytest.raises(AddressRefused, match=r"^example.com \(.*\) is neither public nor .* JOB_HTTP_ALLOWED_NETWORKS"):
        guard(*answers).addresses("example.com")


def test_a_mix_of_public_and_allowed_addresses_is_fine() -> None:
    assert len(guard(PUBLIC, "10.0.0.1", allowed=["10.0.0.0/8"]).addresses("example.com")) == 2


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "0x7f.1", "017700000001", "0177.0.0.1", "0", "::1",
     "::ffff:127.0.0.1", "0:0:0:0:0:ffff:7f00:1", "::ffff:7f00:1"],
)  # fmt: skip
def test_no_way_to_write_this_machine_gets_through(host: str) -> None:
    with pytest.raises(AddressRefused):
        guard(resolver=system_resolver).addresses(host)


@pytest.mark.parametrize("error", [socket.gaierror(-2, "Name or service not known"), UnicodeError("label too long")])
def test_a_name_that_does_not_resolve_is_a_failure(error: Exception) -> None:
    def resolver(host: str) -> list[str]:
        raise error

    with pytest.raises(RequestFailed, match=r"^example.com does not resolve: .*(not known|too long)"):
        guard(resolver=resolver).addresses("example.com")


def test_a_name_without_addresses_is_a_failure() -> None:
    with pytest.raises(RequestFailed, match="has no address"):
        guard().addresses("example.com")


def test_a_resolver_that_hangs_is_given_up() -> None:
    asked, done = threading.Event(), threading.Event()

    def resolver(host: str) -> list[str]:
        asked.set()
        done.wait(60)
        return [PUBLIC]

    with pytest.raises(TimeoutError):
        guard(timeout=0.01, resolver=resolver).addresses("example.com")
    assert asked.wait(60)
    done.set()


# --- time ------------------------------------------------------------------------------------------------------------


def test_time_runs_from_the_start_of_the_guard() -> None:
    clock = FakeClock()
    bounded = Guard(allowed=(), timeout=30, clock=clock)

    clock.seconds += 10

    assert (bounded.elapsed(), bounded.left()) == (10, 20)


def test_when_time_is_over_nothing_goes_on() -> None:
    clock = FakeClock()
    bounded = Guard(allowed=(), timeout=30, clock=clock)

    clock.seconds += 30

    with pytest.raises(TimeoutError):
        bounded.left()
    with pytest.raises(TimeoutError):
        bounded.connect("example.com", 80)


def test_every_step_of_a_socket_has_only_the_time_that_is_left() -> None:
    ours, theirs = socket.socketpair()
    left = iter([3.0, 2.0, 1.0])
    with theirs, TimedSocket(fileno=ours.detach()) as timed:
        timed.left = lambda: next(left)
        timed.sendall(b"a")
        theirs.sendall(b"b")
        assert timed.gettimeout() == 3.0
        timed.recv_into(bytearray(1))
        assert timed.gettimeout() == 2.0
        timed.send(b"c")
        assert timed.gettimeout() == 1.0


def test_certificates_and_their_names_are_checked() -> None:
    assert tls_context().check_hostname
    assert tls_context().verify_mode.name == "CERT_REQUIRED"


# --- URLs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "host", "port", "target"),
    [
        ("http://example.com", "example.com", None, "/"),
        ("HTTPS://Example.COM:8443/a?b=c#d", "example.com", 8443, "/a?b=c"),
        ("http://example.com?q=@", "example.com", None, "/?q=@"),
        ("http://[2606:4700::1111]:80/", "[2606:4700::1111]", 80, "/"),
        ("http://example.com/ä", "example.com", None, "/%C3%A4"),
    ],
)
def test_a_url_is_taken_apart(url: str, host: str, port: int | None, target: str) -> None:
    parts = parse_target(url)

    assert (parts.host, parts.port, parts.request_uri, parts.fragment) == (host, port, target, None)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "must begin with"),
        ("example.com", "must begin with"),
        ("//example.com/", "must begin with"),
        ("ftp://example.com/", "must begin with"),
        ("file:///etc/passwd", "must begin with"),
        ("http:/example.com", "must begin with"),
        ("http:///path", "must name a server"),
        ("http://:80/", "must name a server"),
        ("http://example.com:x/", "must name a server"),
        ("http://example.com:/", "must name a server"),
        ("http://exa<mple.com/", "must name a server"),
        ("http://exämple.com/", "xn--"),
        ("http://127.0.0.1/".replace("1", "\u0661"), "xn--"),
        ("http://[fe80::1%25eth0]/", "must name a server"),
        ("http://[::1/", "must name a server"),
        ("http://[1.2.3.4]/", "not a URL"),
        ("http://example.com:0/", "no server has this port"),
        ("http://example.com:99999/", "not a URL"),
        ("http://user:secret@example.com/", "Authorization"),
        ("http://@example.com/", "Authorization"),
        ("http://example.com@127.0.0.1/", "Authorization"),
        ("http://example.com\\@127.0.0.1/", "backslashes"),
        ("http://example.com/a b", "blanks"),
        ("http://example.com/\r\nHost: x", "blanks"),
        ("http://example.com/\x00", "blanks"),
        ("http://example.com/" + "a" * MAX_URL, "at most 2,048"),
    ],
)
def test_other_urls_are_refused_with_the_reason(url: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_target(url)


@given(st.text(max_size=40))
def test_whatever_is_accepted_has_one_server_and_no_line_breaks(rest: str) -> None:
    try:
        parts = parse_target(f"http://{rest}")
    except ValueError:
        return
    assert parts.host and not parts.auth
    assert parts.request_uri.isascii() and parts.request_uri.isprintable() and " " not in parts.request_uri


# --- arguments -------------------------------------------------------------------------------------------------------


def problems(**arguments: Any) -> str:
    with pytest.raises(ValueError, match=": ") as caught:
        HttpCall(**{"url": "https://example.com/"} | arguments)
    return str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"url": 5}, "url: must be a string"),
        ({"method": "CONNECT"}, "method: must be one of GET, HEAD"),
        ({"method": None}, "method: must be one of GET, HEAD"),
        ({"headers": ["a"]}, "headers: must be an object of strings"),
        ({"headers": {"X-A": 1}}, "headers: must be an object of strings"),
        ({"headers": {"X-A": "a\r\nX-B: b"}}, "headers: X-A must have one line"),
        ({"headers": {"X-A": "a\nb"}}, "headers: X-A must have one line"),
        ({"headers": {"X-A": "€"}}, "headers: X-A must have one line"),
        ({"headers": {"X-A\r\nX-B": "b"}}, "is not the name of a header"),
        ({"headers": {"": "b"}}, "is not the name of a header"),
        ({"headers": {"X-Ä": "b"}}, "is not the name of a header"),
        ({"headers": {"X-A\n": "b"}}, "is not the name of a header"),
        ({"headers": {"hOST": "b"}}, "headers: hOST follows from the URL"),
        ({"headers": {"Transfer-Encoding": "chunked"}}, "headers: Transfer-Encoding follows"),
        ({"body": {"a": 1}}, "body: must be a string"),
        ({"body": "a", "json": 1}, "json: cannot be sent together with body"),
        ({"expected_status": 0}, "expected_status: must be"),
        ({"expected_status": True}, "expected_status: must be"),
        ({"expected_status": []}, "expected_status: must be"),
        ({"expected_status": [200, 700]}, "expected_status: must be"),
        ({"expected_status": "200"}, "expected_status: must be"),
        ({"timeout": 0}, "timeout: must be"),
        ({"timeout": 3601}, "timeout: must be"),
        ({"timeout": float("nan")}, "timeout: must be"),
        ({"timeout": True}, "timeout: must be"),
        ({"timeout": "5"}, "timeout: must be"),
        ({"timeout": 10**400}, "timeout: must be"),
        ({"max_redirects": -1}, "max_redirects: must be"),
        ({"max_redirects": 2.5}, "max_redirects: must be"),
    ],
)
def test_bad_arguments_are_refused_with_what_is_right(arguments: dict[str, Any], message: str) -> None:
    assert message in problems(**arguments)


def test_every_bad_argument_is_named_at_once() -> None:
    assert len(problems(url="x", method="x", headers=1, timeout=0, max_redirects=99).split("; ")) == 5


def test_a_request_has_what_the_arguments_say() -> None:
    request = HttpCall("https://example.com/a", "post", {"content-type": "text/plain"}, json={"ä": 1}).request()

    assert (request.method, request.url.url) == ("POST", "https://example.com/a")
    assert request.headers == {"User-Agent": "Cronzimus", "Connection": "close", "content-type": "text/plain"}
    assert request.body == b'{"\\u00e4": 1}'


def test_any_success_is_expected_unless_a_status_is_named() -> None:
    assert 204 in HttpCall("http://example.com").expected
    assert 302 not in HttpCall("http://example.com").expected
    assert 302 in HttpCall("http://example.com", expected_status=302).expected
    assert 200 not in HttpCall("http://example.com", expected_status=[302, 404]).expected
