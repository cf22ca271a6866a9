"""A trusted proxy's header over a real connection: it counts from an address that is listed, in one form only."""

from __future__ import annotations

import json
import socket
from urllib.parse import urlsplit

import pytest

from .conftest import migrate
from .support import Site, Web

SSO = {
    "DEBUG": "false", "ALLOWED_HOSTS": "127.0.0.1", "TRUSTED_PROXIES": "127.0.0.1",
    "PROXY_USER_HEADER": "X-Auth-Request-User", "PROXY_GROUPS_HEADER": "X-Auth-Request-Groups",
    "PROXY_ROLES": json.dumps({"ops": "viewer"}),
}  # fmt: skip
GROUPS = "X-Auth-Request-Groups: ops"


def status(web: Web, *headers: str) -> int:
    """Return the status of a request with these header lines, sent as they are."""
    place = urlsplit(web.address)
    lines = ["GET /scheduler/jobs HTTP/1.1", f"Host: {place.netloc}", "Connection: close", *headers, "", ""]
    with socket.create_connection((place.hostname, place.port), timeout=20) as connection:
        connection.sendall("\r\n".join(lines).encode())
        answer = b""
        while received := connection.recv(65_536):
            answer += received
    return int(answer.split()[1])


@pytest.fixture(scope="module")
def web(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Web:
    """Return a web whose proxy is this machine."""
    return _web(request, tmp_path_factory, SSO)


def _web(request: pytest.FixtureRequest, folders: pytest.TempPathFactory, environment: dict[str, str]) -> Web:
    folder = folders.mktemp("site")
    site = Site(f"sqlite:///{folder / 'db.sqlite3'}", folder)
    migrate(site)
    request.addfinalizer(site.end)
    return site.web(**environment)


def test_the_user_whom_the_proxy_names_is_let_in_with_the_role_of_the_group(web: Web) -> None:
    assert status(web, "X-Auth-Request-User: ada", GROUPS) == 200


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (GROUPS,),
        ("X_Auth_Request_User: ada", GROUPS),
        ("X-Auth-Request_User: ada", GROUPS),
        ("X-Auth-Request-User: ada", "X-Auth-Request-User: root", GROUPS),
        ("X-Auth-Request-User: ada,root", GROUPS),
        ("X-Auth-Request-User:", GROUPS),
        ("X-Auth-Request-User: eve", "X-Auth-Request-Groups: others"),
        ("Remote-User: ada", GROUPS),
    ],
)
def test_no_other_form_of_the_header_lets_anybody_in(web: Web, headers: tuple[str, ...]) -> None:
    assert status(web, *headers) == 401


def test_the_header_counts_for_nothing_from_an_address_that_is_not_listed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> None:
    web = _web(request, tmp_path_factory, SSO | {"TRUSTED_PROXIES": "10.9.9.9"})
    for claim in ("X-Forwarded-For: 10.9.9.9", "Forwarded: for=10.9.9.9", "X-Real-IP: 10.9.9.9"):
        assert status(web, "X-Auth-Request-User: ada", GROUPS, claim) == 401
