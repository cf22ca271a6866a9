"""A search ignores case, beyond ASCII too, in the API and in the admin alike."""

from __future__ import annotations

from typing import Any
from unicodedata import normalize

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from jobs import services
from jobs.models import Job
from tests.fakes import NOW, make_job, make_run

from .api_client import Api

FOUND = [
    ("überweisung", "Überweisung"), ("ÜBERWEISUNG", "Überweisung"), ("WEIS", "Überweisung"), ("ærø", "ÆRØ"),
    ("ΔΕΛΤΑ", "δελτα"), ("отчёт", "ОТЧЁТ"), ("100%", "at 100% load"), ("a_b", "a_b"), ("İ", "İ"), ("\\", "a\\b"),
    # Unicode has two forms of an accent: macOS writes file names in the longer one.
    ("überweisung", normalize("NFD", "Überweisung")), (normalize("NFD", "ÜBERWEISUNG"), "Überweisung"),
    (normalize("NFD", "éÀ"), normalize("NFC", "Éà")), ("ὈΔΥΣΣ", "ὀδυσσεύς"),
]  # fmt: skip
NOT_FOUND = [("a_b", "axb"), ("100%", "1000"), ("u", "Ü"), ("\\", "a/b")]


def listed(api: Api, words: str) -> list[str]:
    response = api.client.get("/scheduler/jobs", {"q": words})
    assert response.status_code == 200
    return [job["id"] for job in response.json()]


@pytest.mark.parametrize("field", ["name", "description", "func"])
@pytest.mark.parametrize(("words", "text"), FOUND)
def test_the_api_finds_a_text(api: Api, field: str, words: str, text: str) -> None:
    make_job("other")
    make_job(**{field: text})
    assert listed(api, words) == ["job"]
    assert [job["id"] for job in api.client.get("/scheduler/jobs", {"q": words, "limit": 10}).json()] == ["job"]


@pytest.mark.parametrize(("words", "text"), NOT_FOUND)
def test_the_api_does_not_find_another_text(api: Api, words: str, text: str) -> None:
    make_job("x", name=text)
    assert listed(api, words) == []


@pytest.mark.parametrize(("words", "text"), FOUND)
def test_the_admin_finds_a_text(admin_client: Client, words: str, text: str) -> None:
    make_job("other")
    make_job(name=text)
    page = admin_client.get("/admin/cronzimus/job/", {"q": words})
    assert [job.pk for job in page.context["cl"].result_list] == ["job"]


@pytest.mark.parametrize(("words", "text"), NOT_FOUND)
def test_the_admin_does_not_find_another_text(admin_client: Client, words: str, text: str) -> None:
    make_job("x", name=text)
    page = admin_client.get("/admin/cronzimus/job/", {"q": words})
    assert list(page.context["cl"].result_list) == []


def test_the_admin_finds_the_runs_of_a_job_by_its_name(admin_client: Client) -> None:
    make_job(name="Überweisung")
    run = make_run()
    make_run("other")
    page = admin_client.get("/admin/cronzimus/run/", {"q": "überWEISUNG"})
    assert [row.id for row in page.context["rows"]] == [run.pk]


def test_the_palette_finds_a_job_by_its_name(admin_client: Client) -> None:
    make_job(name="Überweisung")
    entries = admin_client.get("/admin/palette/", {"q": "überweis"}).json()["entries"]
    assert ("job", "Überweisung") in [(entry["label"], entry["hint"]) for entry in entries]


@pytest.mark.parametrize("words", ["jürgen", "JÜRGEN", normalize("NFD", "jürgen")])
def test_the_admin_finds_users_and_their_tokens(admin_client: Client, words: str) -> None:
    user = User.objects.create_user("Jürgen")
    User.objects.create_user("ben", last_name="JÜRGENS")
    services.create_token(user, now=NOW, name="deploy")
    page = admin_client.get("/admin/auth/user/", {"q": words})
    assert {found.username for found in page.context["cl"].result_list} == {"Jürgen", "ben"}
    page = admin_client.get("/admin/cronzimus/token/", {"q": words})
    assert [token.name for token in page.context["cl"].result_list] == ["deploy"]


@pytest.mark.parametrize("value", [b"\xff", b"text", 5, None], ids=repr)
def test_a_search_reads_over_damaged_texts(api: Api, sqlite_only: None, value: Any) -> None:
    make_job("sound", name="Überweisung")
    make_job()
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA ignore_check_constraints = ON")
        cursor.execute("UPDATE cronzimus_job SET description = %s WHERE id = 'job'", [value if value else ""])
        cursor.execute("PRAGMA ignore_check_constraints = OFF")
    assert listed(api, "überweisung") == ["sound"]


def test_several_texts_are_searched_for_at_once(db: None) -> None:
    make_job("a", name="Größe")
    make_job("b", description="GRÖSSE")
    assert list(Job.objects.search("größe").values_list("pk", flat=True))[:1] == ["a"]
