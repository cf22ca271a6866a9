"""Secrets by reference: the sources of values, references in arguments, and masking."""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from jobs.core.exceptions import InvalidArguments
from jobs.core.secrets import (
    MASK,
    Masker,
    looks_secret,
    masked,
    names_in,
    plain_secrets,
    reference_problem,
    replaced,
)
from jobs.definitions.arguments import clean_arguments
from jobs.functions import registry, secrets
from jobs.functions.secrets import UnknownSecret
from jobs.selectors.warnings import secret_warnings

VALUE = "s3cr3t-äöü"


@pytest.fixture
def folder(settings: Settings, tmp_path: Path) -> Path:
    """A folder of secrets that the settings name."""
    settings.CRONZIMUS = settings.CRONZIMUS | {"SECRETS": {"folder": str(tmp_path)}}
    return tmp_path


# --- references ------------------------------------------------------------------------------------------------------


def test_references_are_found_wherever_they_stand_in_their_order() -> None:
    args = [{"$secret": "B"}, {"deep": [{"$secret": "C.c-d_1"}, {"$secret": "A"}]}, {"$secret": "B"}]
    assert names_in(args, {"x": {"$secret": "E"}, "y": {"$secret": "D"}}) == ["B", "C.c-d_1", "A", "E", "D"]


def test_names_that_look_secret_are_listed_in_their_order() -> None:
    assert plain_secrets([{"token": "x", "deep": {"password": "y"}}, {"api_key": "z"}]) == [
        "token", "password", "api_key",
    ]  # fmt: skip


def test_values_stand_in_place_of_references() -> None:
    given_value = {"a": [1, {"$secret": "A"}], "b": "text"}
    assert replaced(given_value, str.lower) == {"a": [1, "a"], "b": "text"}


@pytest.mark.parametrize(
    "value", [{"$secret": 5}, {"$secret": ""}, {"$secret": "a b"}, {"$secret": "../x"}, {"$secret": "A", "x": 1}]
)
def test_a_reference_of_another_form_is_refused_when_the_job_is_saved(value: Any) -> None:
    assert reference_problem([{"deep": value}])
    with pytest.raises(InvalidArguments) as refused:
        clean_arguments(registry.lookup("tests:echo"), [value], {})
    assert "$secret" in refused.value.fields["args"]


def test_the_own_check_of_a_function_waits_until_the_secret_is_known() -> None:
    function = registry.lookup("cronzimus.functions:http_request")
    clean_arguments(function, [], {"url": {"$secret": "ADDRESS"}})
    with pytest.raises(InvalidArguments):
        clean_arguments(function, [], {"url": "no address"})
    with pytest.raises(InvalidArguments, match="unexpected keyword"):
        clean_arguments(function, [], {"url": {"$secret": "ADDRESS"}, "colour": "red"})


# --- where values come from ------------------------------------------------------------------------------------------


def test_a_listed_environment_variable_is_a_secret(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"SECRETS": {"env": ["SMTP_PASSWORD"]}}
    monkeypatch.setenv("SMTP_PASSWORD", VALUE)
    assert secrets.read("SMTP_PASSWORD") == VALUE
    with pytest.raises(UnknownSecret):
        secrets.read("PATH")


def test_an_environment_variable_with_the_prefix_is_a_secret(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"SECRETS": {"env_prefix": "JOB_SECRET_"}}
    monkeypatch.setenv("JOB_SECRET_CRM", VALUE)
    assert secrets.read("CRM") == VALUE


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_file_of_the_folder_is_a_secret_without_its_last_line_break(folder: Path, ending: str) -> None:
    (folder / "crm").write_bytes((VALUE + ending).encode())
    assert secrets.read("crm") == VALUE


def test_no_name_leads_out_of_the_folder() -> None:
    for name in ("..", ".", "a/b", "../x", "/etc/passwd"):
        assert reference_problem({"$secret": name})


@pytest.mark.parametrize(
    ("content", "why"), [(b"x" * 65_537, "too long"), (b"\xff\xfe", "not UTF-8")], ids=["long", "bytes"]
)
def test_a_file_that_is_no_secret_is_named(folder: Path, content: bytes, why: str) -> None:
    (folder / "crm").write_bytes(content)
    with pytest.raises(UnknownSecret, match=f"'crm'.*{why}"):
        secrets.read("crm")


def test_an_unknown_secret_is_named_with_the_places_that_were_looked_at(folder: Path) -> None:
    with pytest.raises(UnknownSecret, match=f"there is no secret 'crm': it is not in the folder {folder}"):
        secrets.read("crm")


def test_without_a_setting_there_are_no_secrets() -> None:
    with pytest.raises(UnknownSecret, match="SECRETS names no place for it"):
        secrets.read("HOME")


# --- names that look secret ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["password", "PGPASSWORD", "db_pass", "apiKey", "x-api-key", "Authorization", "clientSecret", "auth_token"]
)
def test_a_name_looks_secret(name: str) -> None:
    assert looks_secret(name)


@pytest.mark.parametrize("name", ["passenger", "compass", "key", "monkey", "author", "url", "keyboard", "bypassed"])
def test_a_name_does_not_look_secret(name: str) -> None:
    assert not looks_secret(name)


def test_texts_under_names_that_look_secret_are_masked() -> None:
    value = {"headers": {"Authorization": "Bearer x", "Accept": "*/*"}, "max_tokens": 5, "tokens": ["a", {"b": "c"}]}
    assert masked(value) == {
        "headers": {"Authorization": MASK, "Accept": "*/*"}, "max_tokens": 5, "tokens": [MASK, {"b": MASK}]
    }  # fmt: skip


def test_references_stay_where_secrets_are_masked() -> None:
    assert masked({"password": {"$secret": "A"}}) == {"password": {"$secret": "A"}}


def test_the_password_in_a_url_is_masked() -> None:
    assert masked(["postgresql://ann:hunter2@db:5432/x"]) == ["postgresql://ann:***@db:5432/x"]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://x.example/hook?token=abc&a=1", "https://x.example/hook?token=***&a=1"),
        ("https://x.example/?a=1&api_key=abc#token=top", "https://x.example/?a=1&api_key=***#token=top"),
        ("https://x.example/?token=", "https://x.example/?token="),
        ("is token=abc a parameter?", "is token=abc a parameter?"),
    ],
)
def test_parameters_of_a_url_that_look_secret_are_masked(url: str, shown: str) -> None:
    assert masked({"url": url}) == {"url": shown}


def test_a_plain_text_under_a_name_that_looks_secret_has_a_warning() -> None:
    assert plain_secrets({"password": "x", "b": {"token": ""}, "api_key": {"$secret": "A"}}) == ["password"]
    (warning,) = secret_warnings([], {"password": "x"}, "thread")
    assert (warning.code, "'password'" in warning.message) == ("plain_secret", True)


@pytest.mark.parametrize(("executor", "readers"), [("thread", "schedulers"), ("celery", "workers")])
def test_a_secret_that_is_not_found_has_a_warning_that_says_who_needs_it(executor: str, readers: str) -> None:
    (warning,) = secret_warnings([{"$secret": "CRM"}], {}, executor)
    assert (warning.code, warning.message) == (
        "unknown_secret",
        f"The secret 'CRM' is not found here: unless the {readers} find it, the job's runs fail.",
    )


# --- masking ---------------------------------------------------------------------------------------------------------


ODD = "s3cr3t-äöü&<'\"x"


@pytest.mark.parametrize(
    "written",
    [ODD, json.dumps(ODD), repr(ODD), ascii(ODD), quote(ODD), html.escape(ODD), repr(ODD.encode()),
     """'s3cr3t-äöü&<'\\''"x'"""],
)  # fmt: skip
def test_a_secret_is_masked_as_json_python_html_urls_and_shells_write_it(written: str) -> None:
    shown = Masker([ODD]).mask(f"before {written} after")
    assert MASK in shown
    assert "s3cr3t" not in shown


def test_the_lines_of_a_long_secret_are_masked_one_by_one() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBg\n-----END KEY-----\n"
    assert Masker([key]).mask("| MIIEvQIBADANBg\n") == f"| {MASK}\n"


def test_of_two_secrets_the_longer_one_is_masked_whole() -> None:
    masker = Masker(["abc", "abcdef"])
    assert masker.feed("x abc") + masker.feed("def y") + masker.flush() == f"x {MASK} y"


def test_what_began_like_a_secret_and_was_none_is_kept() -> None:
    masker = Masker(["abcdef"])
    assert (masker.feed("1 abc"), masker.feed("x"), masker.flush()) == ("1 ", "abcx", "")
    assert masker.feed("abcde") == ""
    assert masker.flush() == "abcde"


@given(
    st.lists(st.text('ab\n"é', min_size=1, max_size=5), min_size=1, max_size=3),
    st.lists(st.text('ab\n"éx', max_size=6), max_size=8),
)
def test_no_secret_is_left_however_a_text_is_cut_into_pieces(values: list[str], pieces: list[str]) -> None:
    masker = Masker(values)
    shown = "".join(map(masker.feed, pieces)) + masker.flush()
    assert shown == Masker(values).mask("".join(pieces))
    assert not any(value in part for value in values for part in shown.split(MASK))


def test_an_empty_secret_masks_nothing() -> None:
    masker = Masker([""])
    assert masker.feed("text") + masker.flush() == "text"
