"""A trusted proxy names the user who has logged in there; nobody else can."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.checks import run_checks
from django.test import Client, RequestFactory

from cronzimus_site.proxy import client_address
from tests.fakes import make_user

pytestmark = pytest.mark.django_db

USER, GROUPS = "HTTP_X_AUTH_REQUEST_USER", "HTTP_X_AUTH_REQUEST_GROUPS"
PROXY = {"REMOTE_ADDR": "10.0.0.1"}


@pytest.fixture(autouse=True)
def proxy(settings: Any) -> None:
    """The settings of a site behind a proxy."""
    settings.TRUSTED_PROXIES = ["10.0.0.0/24", "::1"]
    settings.PROXY_USER_HEADER = "X-Auth-Request-User"
    settings.PROXY_GROUPS_HEADER = ""
    settings.PROXY_ROLES = {"ops": "admin", "dev": "viewer"}
    at = settings.MIDDLEWARE.index("django.contrib.auth.middleware.AuthenticationMiddleware") + 1
    middleware = "cronzimus_site.proxy.ProxyUserMiddleware"
    settings.MIDDLEWARE = [*settings.MIDDLEWARE[:at], middleware, *settings.MIDDLEWARE[at:]]
    settings.AUTHENTICATION_BACKENDS = ["cronzimus_site.proxy.ProxyUserBackend", *settings.AUTHENTICATION_BACKENDS]
    settings.CRONZIMUS = settings.CRONZIMUS | {"API_AUTH": "token"}


@pytest.fixture
def ada() -> Any:
    """A user of the admin."""
    return make_user("ada", role="admin", is_staff=True)


def user_of(client: Client, **request: str) -> str:
    """Return the user that the web sees, "" for nobody."""
    answer = client.get("/admin/", **request)  # type: ignore[arg-type]
    return "" if answer.status_code == 302 else str(answer.wsgi_request.user.get_username())


def test_the_user_whom_the_proxy_names_is_logged_in(ada: Any) -> None:
    assert user_of(Client(), **PROXY, **{USER: "ada"}) == "ada"


def test_the_api_knows_the_user_too(ada: Any) -> None:
    assert Client().get("/scheduler/jobs", **PROXY, **{USER: "ada"}).status_code == 200  # type: ignore[arg-type]


def test_the_api_still_asks_for_the_token_against_forged_requests(ada: Any) -> None:
    client = Client(enforce_csrf_checks=True)
    assert client.post("/scheduler/pause", **PROXY, **{USER: "ada"}).status_code == 403  # type: ignore[arg-type]


@pytest.mark.parametrize("address", ["10.0.1.1", "127.0.0.1", "::2", ""])
def test_from_any_other_address_the_header_counts_for_nothing(ada: Any, address: str) -> None:
    assert user_of(Client(), REMOTE_ADDR=address, **{USER: "ada"}) == ""


def test_no_header_about_the_client_makes_an_address_trusted(ada: Any) -> None:
    said = {"HTTP_X_FORWARDED_FOR": "10.0.0.1", "HTTP_X_REAL_IP": "10.0.0.1", "HTTP_FORWARDED": "for=10.0.0.1"}
    assert user_of(Client(), REMOTE_ADDR="9.9.9.9", **said, **{USER: "ada"}) == ""


def test_what_an_untrusted_client_says_is_taken_off_the_request(ada: Any) -> None:
    answer = Client().get("/admin/login/", REMOTE_ADDR="9.9.9.9", **{USER: "ada"})  # type: ignore[arg-type]
    assert USER not in answer.wsgi_request.META


def test_a_session_ends_with_the_header(ada: Any) -> None:
    client = Client()
    assert user_of(client, **PROXY, **{USER: "ada"}) == "ada"
    assert user_of(client, **PROXY) == ""


def test_the_cookie_of_a_session_is_worth_nothing_past_the_proxy(ada: Any) -> None:
    client = Client()
    user_of(client, **PROXY, **{USER: "ada"})
    assert user_of(client, REMOTE_ADDR="9.9.9.9", **{USER: "ada"}) == ""


def test_another_user_takes_the_place_of_the_first(ada: Any) -> None:
    make_user("bob", role="viewer", is_staff=True)
    client = Client()
    user_of(client, **PROXY, **{USER: "ada"})
    assert user_of(client, **PROXY, **{USER: "bob"}) == "bob"


@pytest.mark.parametrize("name", ["bob,ada", "ada,ada", "a b", "x" * 151, "ada\x00", ""])
def test_what_cannot_be_a_name_is_ignored(ada: Any, name: str) -> None:
    assert user_of(Client(), **PROXY, **{USER: name}) == ""


def test_names_may_have_letters_of_any_script() -> None:
    make_user("jürgen", role="viewer", is_staff=True)
    assert user_of(Client(), **PROXY, **{USER: "jürgen".encode().decode("latin-1")}) == "jürgen"


def test_a_user_who_does_not_exist_is_not_made_without_groups() -> None:
    assert user_of(Client(), **PROXY, **{USER: "eve"}) == ""
    assert not get_user_model().objects.exists()


def test_a_user_who_is_not_active_stays_out(ada: Any) -> None:
    get_user_model().objects.update(is_active=False)
    assert user_of(Client(), **PROXY, **{USER: "ada"}) == ""


def test_failures_of_the_proxys_users_lock_nobody(ada: Any) -> None:
    for _ in range(7):
        user_of(Client(), **PROXY, **{USER: "eve"})
    assert user_of(Client(), **PROXY, **{USER: "ada"}) == "ada"


# --- groups ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def with_groups(settings: Any) -> None:
    """Let the groups in a header give roles."""
    settings.PROXY_GROUPS_HEADER = "X-Auth-Request-Groups"


def roles() -> set[str]:
    return set(Group.objects.filter(user__username="eve").values_list("name", flat=True))


@pytest.mark.usefixtures("with_groups")
def test_a_user_with_a_role_is_made_at_the_first_visit() -> None:
    assert user_of(Client(), **PROXY, **{USER: "eve", GROUPS: "staff, ops"}) == "eve"
    assert roles() == {"Cronzimus admin"}
    assert not get_user_model().objects.get().has_usable_password()


@pytest.mark.usefixtures("with_groups")
def test_a_user_without_a_role_is_not_made() -> None:
    assert user_of(Client(), **PROXY, **{USER: "eve", GROUPS: "staff"}) == ""
    assert not get_user_model().objects.exists()


@pytest.mark.usefixtures("with_groups")
def test_roles_follow_the_groups_within_a_session_and_other_groups_stay() -> None:
    client = Client()
    user_of(client, **PROXY, **{USER: "eve", GROUPS: "ops"})
    get_user_model().objects.get().groups.add(Group.objects.create(name="choir"))
    user_of(client, **PROXY, **{USER: "eve", GROUPS: "dev"})
    assert roles() == {"Cronzimus viewer", "choir"}
    user_of(client, **PROXY, **{USER: "eve", GROUPS: ""})
    assert roles() == {"choir"}


@pytest.mark.usefixtures("with_groups")
def test_an_untrusted_client_gives_itself_no_role(ada: Any) -> None:
    assert user_of(Client(), REMOTE_ADDR="9.9.9.9", **{USER: "eve", GROUPS: "ops"}) == ""
    assert not get_user_model().objects.filter(username="eve").exists()


# --- the address of the client ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("9.9.9.9", "1.1.1.1", "9.9.9.9"),
        ("10.0.0.1", "1.1.1.1, 2.2.2.2", "2.2.2.2"),
        ("10.0.0.1", "1.1.1.1, 2.2.2.2, 10.0.0.2", "2.2.2.2"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "2.2.2.2, unknown", "10.0.0.1"),
        ("::ffff:10.0.0.1", "2.2.2.2", "2.2.2.2"),
        ("", "2.2.2.2", None),
    ],
)
def test_the_last_address_that_is_no_trusted_proxy_is_the_clients(
    peer: str, forwarded: str, client: str | None
) -> None:
    request = RequestFactory().get("/", REMOTE_ADDR=peer, HTTP_X_FORWARDED_FOR=forwarded)
    assert client_address(request) == client


@pytest.mark.parametrize(
    ("https", "proxies", "found"),
    [(True, [], ["cronzimus_site.W001"]), (True, ["127.0.0.1"], []), (False, [], [])],
)
def test_a_site_behind_a_proxy_that_nobody_has_named_is_warned_of(
    settings: Any, https: bool, proxies: list[str], found: list[str]
) -> None:
    settings.HTTPS, settings.TRUSTED_PROXIES = https, proxies
    messages = run_checks(tags=["security"], include_deployment_checks=True)
    assert [message.id for message in messages if str(message.id).startswith("cronzimus_site")] == found
