"""Probable secrets in arguments are shown to users who may change the job, and masked for everybody else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.fakes import make_job, make_run, make_token, make_user

from .admin_support import INTERVAL, JOBS, RUNS, Admin, admin_fixture, at_noon_fixture, messages
from .api_client import Api

__all__ = ["admin_fixture", "at_noon_fixture"]

pytestmark = pytest.mark.django_db

ARGUMENTS = {"args": [{"token": "hunter2"}], "kwargs": {"password": "hunter3", "key": {"$secret": "CRM"}}}
SHOWN = {"args": [{"token": "***"}], "kwargs": {"password": "***", "key": {"$secret": "CRM"}}}


@pytest.mark.parametrize("path", ["/job", "/job?fields=args,kwargs", "?full=1", "?fields=args,kwargs&limit=5"])
def test_the_api_masks_secrets_for_those_who_may_not_change_the_job(api: Api, settings: Any, path: str) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"API_AUTH": "token"}
    make_job(**ARGUMENTS)
    editor, viewer = (make_token(make_user(role, role)) for role in ("editor", "viewer"))
    for token, expected in ((editor, ARGUMENTS), (viewer, SHOWN), (editor, ARGUMENTS)):
        response = api.client.get(f"/scheduler/jobs{path}", headers={"authorization": token})
        shown = json.loads(b"".join(response) if response.streaming else response.content)
        job = shown[0] if isinstance(shown, list) else shown
        assert {name: job[name] for name in ("args", "kwargs")} == expected


def test_a_warning_about_a_secret_goes_when_the_secret_is_there(
    api: Api, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"SECRETS": {"env": ["CRM"]}}
    make_job(kwargs={"key": {"$secret": "CRM"}}, trigger={"type": "interval", "minutes": 5})
    assert [w["code"] for w in api.get("/scheduler/jobs/job")["warnings"]] == ["unknown_secret"]
    monkeypatch.setenv("CRM", "hunter2")
    assert api.get("/scheduler/jobs/job")["warnings"] == []


def test_the_admin_masks_secrets_for_those_who_may_not_change_jobs(at_noon: Any) -> None:
    make_job(**ARGUMENTS)
    run = make_run(status="succeeded", **ARGUMENTS)
    viewer = Admin("view_job", "view_run", name="vera")
    for path in (f"{JOBS}job/change/", f"{RUNS}{run.pk}/change/"):
        assert "hunter" not in viewer.read(path)


def test_the_form_warns_of_secrets_in_plain_text_and_of_unknown_ones(admin: Admin) -> None:
    kwargs = '{"password": "hunter2", "key": {"$secret": "NOPE"}}'
    response = admin.save(f"{JOBS}add/", id="job", **INTERVAL, kwargs=kwargs)
    said = " ".join(messages(response))
    assert "'password' looks secret" in said
    assert "The secret 'NOPE' is not found here" in said
