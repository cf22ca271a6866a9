"""The checks of the environment's variables: what they accept, and that no message shows a secret."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from cronzimus_site import env

HIDDEN = "hunter2"


@pytest.mark.parametrize("special", ["#", "/", "?", "[", "]", "/@", "#@", "?@", ":/"])
@pytest.mark.parametrize("template", ["{0}{1}{0}", "12{1}{0}", "{0}@{1}{0}"])
def test_a_password_that_is_not_percent_encoded_is_said_and_not_shown(special: str, template: str) -> None:
    password = template.format(HIDDEN, special)
    try:
        env.is_database_url(f"postgresql://user:{password}@db.example.com:5432/cronzimus")
    except ValueError as error:
        assert "Percent-encode the password" in str(error)
        assert HIDDEN not in str(error)
        assert error.__cause__ is None
    else:
        pytest.fail("it was accepted")


@pytest.mark.parametrize("url", [f"postgresql://user:{HIDDEN}@host:99999/name", f"mysql://user:{HIDDEN}@host/name"])
def test_another_wrong_url_is_not_shown_either(url: str) -> None:
    with pytest.raises(ValueError, match="not a database's URL") as refused:
        env.is_database_url(url)
    assert HIDDEN not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        *(("sqlite://", "names no file"), ("sqlite:///", "names no file"), ("sqlite:///:memory:", "names no file")),
        *(("sqlite://db.sqlite3", "write three slashes"), ("sqlite://srv/db.sqlite3", "write three slashes")),
        *((f"postgresql://user:{HIDDEN}@host", "names no database"), ("postgresql://host:5432/", "names no database")),
    ],
)
def test_a_url_that_names_no_database_is_refused(url: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as refused:
        env.is_database_url(url)
    assert HIDDEN not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:p%2Fw%23x%40y@host:5432/name",
        "postgresql://user@host/name?sslmode=require",
        "postgresql://%2Fvar%2Frun%2Fpostgresql/name",
        "postgresql://?service=cronzimus",
        "sqlite:////srv/people@example.com/db.sqlite3",
    ],
)
def test_a_right_url_is_accepted(url: str) -> None:
    env.is_database_url(url)


def test_an_origin_with_a_password_is_not_shown() -> None:
    with pytest.raises(ValueError, match="no user and no password") as refused:
        env.are_origins([f"https://user:{HIDDEN}@cronzimus.example.com"])
    assert HIDDEN not in str(refused.value)


@pytest.mark.parametrize(
    ("origin", "message"),
    [
        ("https://*.example.com", "name each origin"), ("null", "not an origin"),
        ("https://App.example.com", "as 'https://app.example.com'"),
        ("https://app.example.com:443", "as 'https://app.example.com'"),
        ("http://app.example.com:80", "as 'http://app.example.com'"), ("https://app.example.com/", "not an origin"),
    ],
)  # fmt: skip
def test_an_origin_that_no_browser_sends_is_refused(origin: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        env.are_named_origins([origin])


def test_an_origin_that_browsers_send_is_accepted() -> None:
    env.are_named_origins(["https://app.example.com", "http://localhost:3000", "http://[::1]", "http://x.example:443"])


def test_a_time_zone_that_the_system_lacks_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "America").mkdir()
    (tmp_path / "America" / "New_York").touch()
    monkeypatch.setattr(env, "ZONEINFO", tmp_path)
    env.is_time_zone("America/New_York")
    with pytest.raises(ValueError, match="tzdata-legacy"):
        env.is_time_zone("US/Eastern")


def test_a_time_zone_is_accepted_where_the_system_has_no_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(env, "ZONEINFO", tmp_path / "nothing")
    env.is_time_zone("US/Eastern")


@pytest.mark.parametrize("path", ["cronzimus", "/cronzimus/", "/", "/a b", "https://example.com/x"])
def test_a_path_prefix_begins_with_a_slash_and_ends_without(path: str) -> None:
    with pytest.raises(ValueError, match="not the path of a folder"):
        env.is_path_prefix(path)


def test_a_path_prefix_may_be_empty_or_nested() -> None:
    env.is_path_prefix("")
    env.is_path_prefix("/ops/cronzimus")


@pytest.mark.parametrize("sender", ["a@example.com", "Cronzimus <a@example.com>", "webmaster@localhost"])
def test_a_sender_is_an_address(sender: str) -> None:
    env.is_sender(sender)


@pytest.mark.parametrize("sender", ["", "Cronzimus", "a@b@c", "a@example.com\nBcc: b@example.com", "@example.com"])
def test_another_sender_is_refused(sender: str) -> None:
    with pytest.raises(ValueError, match="is not an address"):
        env.is_sender(sender)


def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **variables: str) -> env.Environment:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    read = env.Environment(tmp_path / ".env")
    read.number("SCHEDULER_THREADS", 10)
    read.text("DATABASE_URL", "")
    read.flag("HTTPS", False)
    return read


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        *(("SHEDULER_THREADS", "SCHEDULER_THREADS"), ("SCHEDULER_THREAD", "SCHEDULER_THREADS")),
        *(("CRONZIMUS_SCHEDULER_THREADS", "SCHEDULER_THREADS"), ("DATABASE_URI", "DATABASE_URL")),
        *(("scheduler_threads", "SCHEDULER_THREADS"), ("CRONZIMUS_HTTPS", "HTTPS")),
        *(("TEST_DATABASE_URL", None), ("HTTP", None), ("SCHEDULER_THREADS", None), ("SCHEDULER_HOST", None)),
    ],
)
def test_a_misspelt_variable_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, meant: str | None
) -> None:
    assert environment(tmp_path, monkeypatch, **{name: "1"}).misspelt().get(name) == meant


def test_a_file_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"PORT=5\xff\n")
    with pytest.raises(ImproperlyConfigured, match=r"\.env is not UTF-8: invalid start byte at byte 7"):
        env.Environment(tmp_path / ".env")
