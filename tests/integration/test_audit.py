"""The audit has the actions of people, through every door, with secrets masked, and never changes."""

from __future__ import annotations

import csv
import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError, transaction

from jobs import services
from jobs.core.audit import Action, Door, Origin, acting, origin_of
from jobs.models import AlertRule, AuditEvent, Channel, Incident, Run
from jobs.records import audit
from jobs.scheduler.store import claims
from jobs.transfer import sync
from tests.fakes import NOW, after, by, make_job, make_token, make_user

from .admin_support import INTERVAL, JOBS, TOKENS, Admin, admin_fixture, at_noon_fixture, text
from .api_client import Api
from .plans import analyze, assert_reads, assert_unsorted, plans

__all__ = ["admin_fixture", "at_noon_fixture"]

pytestmark = pytest.mark.django_db

AUDIT = "/admin/cronzimus/auditevent/"
BODY = {"id": "job", "func": "tests:echo", "trigger": "interval", "seconds": 10}


def events() -> list[AuditEvent]:
    return list(AuditEvent.objects.order_by("id"))


def actions() -> list[str]:
    return [event.action for event in events()]


# --- the entries ------------------------------------------------------------------------------------------------------


def test_what_happens_to_a_job_is_on_record_with_the_values_before_and_after() -> None:
    services.add_job(BODY | {"description": "x"}, now=NOW)
    services.update_job("job", {"seconds": 20, "description": ""}, now=NOW)
    services.pause_job("job", now=NOW, until=after(60))
    services.resume_job("job", now=NOW)
    with by("anna"):
        services.skip_next("job", now=NOW)
    services.remove_job("job", now=NOW)
    assert actions() == ["job_added", "job_updated", "job_paused", "job_resumed", "job_skipped", "job_removed"]
    added, updated, paused, _, skipped, removed = events()
    assert added.changes["description"] == [None, "x"]
    assert "executor" not in added.changes  # the default
    assert updated.changes["trigger"] == [{"type": "interval", "seconds": 10}, {"type": "interval", "seconds": 20}]
    assert updated.changes["description"] == ["x", ""]
    assert paused.changes == {"paused_until": [None, after(60).isoformat()]}
    assert (skipped.actor, skipped.job_id) == ("anna", "job")
    assert removed.changes["func"] == ["tests:echo", None]


def test_what_happens_to_runs_and_backfills_is_on_record() -> None:
    make_job(func="tests:echo", anchor=after(-60))
    with by("anna"):
        run = services.run_job("job", now=NOW, args=[1])
    services.cancel_run(run.pk, now=NOW)
    again = services.retry_run(run.pk, now=NOW)
    with by("ben"):
        backfill = services.start_backfill(
            "job", start=after(-60), end=after(-30), only_missing=True, max_active=1, now=NOW
        )
    services.cancel_backfill(backfill.pk, now=NOW)
    found = [(event.action, event.object_id, event.job_id) for event in events()]
    assert found == [
        ("run_queued", str(run.pk), "job"), ("run_cancelled", str(run.pk), "job"),
        ("run_retried", str(again.pk), "job"),
        ("backfill_started", str(backfill.pk), "job"), ("backfill_cancelled", str(backfill.pk), "job"),
    ]  # fmt: skip
    assert events()[0].changes == {"args": [[], [1]]}


def test_pauses_of_everything_incidents_and_tokens_are_on_record() -> None:
    with by("anna"):
        services.pause_all(now=NOW, reason="move")
    with by("ben"):
        services.pause_all(now=NOW)  # it is paused already
    services.resume_all(now=NOW)
    incident = Incident.objects.create(job_id="job", kind="failure", opened_at=NOW, last_at=NOW)
    with by("anna"):
        services.acknowledge_incident(incident.pk, now=NOW)
    token, secret = services.create_token(make_user(), now=NOW, name="ci")
    services.revoke_token(token, now=NOW)
    assert actions() == ["all_paused", "all_resumed", "incident_acknowledged", "token_made", "token_revoked"]
    assert events()[0].changes == {"paused": [False, True], "reason": [None, "move"]}
    assert events()[3].object_id == f"{secret[:12]}…"
    assert secret not in str([event.changes for event in events()])


def test_what_is_undone_is_not_on_record() -> None:
    make_job()
    with pytest.raises(RuntimeError), transaction.atomic():
        services.pause_job("job", now=NOW)
        raise RuntimeError
    assert events() == []


def test_claims_and_outcomes_are_not_on_record() -> None:
    make_job()
    claims.claim_due("s1", {"thread": 1}, NOW)
    assert Run.objects.count() == 1
    assert events() == []


def test_secrets_are_masked() -> None:
    services.add_job(BODY | {"kwargs": {"value": {"password": "hunter2", "key": {"$secret": "CRM"}}}}, now=NOW)
    services.update_job("job", {"kwargs": {"value": {"password": "hunter3"}}}, now=NOW)
    assert "hunter" not in json.dumps([event.changes for event in events()])
    assert events()[0].changes["kwargs"] == [None, {"value": {"password": "***", "key": {"$secret": "CRM"}}}]


def test_long_texts_and_names_are_cut() -> None:
    with by("y" * 500):
        audit.record(Action.RULE_ADDED, now=NOW, object_id="x" * 500, changes={"a": (None, "z" * 20_000)})
    (event,) = events()
    assert (len(event.object_id), len(event.actor)) == (100, 254)
    assert len(event.changes["a"][1]) == audit.MAX_TEXT + 1


# --- the doors -------------------------------------------------------------------------------------------------------


def test_the_api_says_who_with_which_token_and_from_where(api: Api, settings: Any) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"API_AUTH": "token"}
    token = make_token(make_user("anna", "editor"))
    AuditEvent.objects.all().delete()
    headers = {"authorization": token, "x_request_id": "req-1", "x_forwarded_for": "203.0.113.9"}
    assert api.call("POST", "/scheduler/jobs", BODY, **headers).status_code == 200
    assert api.call("POST", "/scheduler/jobs", BODY, authorization=token).status_code == 409
    (event,) = events()
    assert (event.actor, event.door, event.request_id) == ("anna", "api", "req-1")
    assert event.address == "127.0.0.1, for 203.0.113.9"
    assert token.removeprefix("Token ").startswith(event.token) and event.token
    services.pause_job("job", now=NOW)
    assert events()[1].actor == ""  # nothing is left of the request


def test_the_admin_says_who(admin: Admin) -> None:
    admin.save(f"{JOBS}add/", id="job", **INTERVAL)
    admin.client.post(f"{JOBS}job/pause/")
    admin.client.post(f"{JOBS}job/delete/", {"post": "yes"})
    found = [(event.action, event.actor, event.door, event.address) for event in events()]
    assert found == [
        (name, "root", "admin", "127.0.0.1") for name in ("job_added", "job_paused", "job_removed")
    ]  # fmt: skip


def test_rules_and_channels_are_on_record_without_their_secrets(admin: Admin) -> None:
    secret = "whsec_aHVudGVyMg=="
    channel = {"name": "ops", "kind": "webhook", "target": "https://example.com/hunter2", "secret": secret}
    admin.send("/admin/cronzimus/channel/add/", **channel, enabled="on")
    pk = Channel.objects.get().pk
    admin.send(f"/admin/cronzimus/channel/{pk}/change/", **channel | {"target": "https://example.com/x"})
    admin.send("/admin/cronzimus/alertrule/add/", name="all", enabled="on", events=["failure"], after=1, channels=[pk])
    admin.client.post(f"/admin/cronzimus/alertrule/{AlertRule.objects.get().pk}/delete/", {"post": "yes"})
    admin.send("/admin/cronzimus/channel/", action="delete_selected", _selected_action=[pk], post="yes")
    assert actions() == ["channel_added", "channel_updated", "rule_added", "rule_removed", "channel_removed"]
    assert "hunter2" not in str([event.changes for event in events()])
    assert secret not in str([event.changes for event in events()])
    assert events()[1].changes["target"] == ["***", "***"]
    assert events()[2].changes["channels"] == [None, ["ops"]]


def test_a_token_that_is_deleted_in_the_admin_is_revoked_on_record(admin: Admin) -> None:
    token, _ = services.create_token(admin.user, now=NOW)
    admin.client.post(f"{TOKENS}{token.pk}/delete/", {"post": "yes"})
    assert (actions()[-1], events()[-1].actor) == ("token_revoked", "root")


def test_the_command_line_files_and_declarations_are_doors(tmp_path: Any) -> None:
    make_job()
    call_command("cronzimus", "pause", "job")
    path = tmp_path / "jobs.json"
    path.write_text(json.dumps({"version": 1, "jobs": [BODY | {"id": "filed"}]}))
    call_command("cronzimus", "apply", "-f", str(path))
    services.sync_declared_jobs([BODY | {"id": "declared"}], now=NOW)
    sync.apply([BODY | {"id": "coded"}], now=NOW)
    assert [event.door for event in events()] == ["command", "file", "settings", "code"]
    assert events()[0].actor.endswith("(command line)")


@pytest.mark.parametrize("value", ["", "a b", "x" * 129, "é", "a\nb"])
def test_a_request_id_of_another_form_is_left_out(value: str) -> None:
    assert origin_of({"HTTP_X_REQUEST_ID": value}, Door.API).request_id == ""


def test_a_change_has_the_id_that_the_answer_and_the_log_have(api: Api) -> None:
    answer = api.call("POST", "/scheduler/jobs", BODY)
    assert events()[-1].request_id == answer.headers["X-Request-ID"] != ""


def test_a_forged_address_stands_behind_the_real_one_and_is_short() -> None:
    origin = origin_of({"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_FOR": "é" * 500}, Door.API)
    assert origin.address == f"10.0.0.1, for {'?' * 60}"


# --- never changed ---------------------------------------------------------------------------------------------------


def test_the_database_refuses_to_change_an_entry_and_lets_it_be_pruned() -> None:
    services.pause_all(now=NOW)
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        AuditEvent.objects.update(actor="nobody")
    assert AuditEvent.objects.all().delete()[0] == 1


# --- the API's list --------------------------------------------------------------------------------------------------


def many() -> None:
    for number, actor in enumerate(("anna", "ben", "anna")):
        with acting(Origin(actor=actor, door=Door.API if actor == "ben" else Door.CODE)):
            audit.record(Action.RUN_QUEUED, now=after(number), job_id=f"job-{number}", object_id=number)
    with by("anna"):
        services.pause_all(now=after(10))


def test_the_list_is_paged_as_runs_are(api: Api) -> None:
    many()
    first = api.get("/scheduler/audit?limit=3")
    assert first["results"][0]["at"] == "2030-01-01T12:00:10Z"
    second = api.get(first["next"].removeprefix("http://testserver"))
    assert [event["job_id"] for event in second["results"]] == ["job-0"]
    assert second["next"] is None
    back = api.get(second["previous"].removeprefix("http://testserver"))
    assert back["results"] == first["results"]


@pytest.mark.parametrize(
    ("query", "objects"),
    [
        ("actor=ben", ["1"]), ("action=run_queued", ["2", "1", "0"]), ("job=job-2", ["2"]),
        ("since=2030-01-01T12:00:02Z", ["", "2"]), ("until=2030-01-01T12:00:01Z", ["0"]),
        ("actor=anna&action=run_queued", ["2", "0"]), ("actor=nobody", []), ("door=api", ["1"]),
        ("door=code&actor=anna", ["", "2", "0"]),
    ],
)  # fmt: skip
def test_the_list_has_filters(api: Api, query: str, objects: list[str]) -> None:
    many()
    assert [event["object_id"] for event in api.get(f"/scheduler/audit?{query}")["results"]] == objects


def test_a_wrong_filter_is_refused(api: Api) -> None:
    assert api.refused("GET", "/scheduler/audit?action=nope&door=back&jobs=x") == (
        400, "INVALID_REQUEST", {"action", "door", "jobs"}
    )  # fmt: skip


def test_the_audit_is_exported(api: Api) -> None:
    many()
    response = api.client.get("/scheduler/audit?format=jsonl&actor=anna")
    lines = [json.loads(line) for line in b"".join(response.streaming_content).splitlines()]
    assert [line["action"] for line in lines] == ["all_paused", "run_queued", "run_queued"]
    assert api.refused("GET", "/scheduler/audit?format=csv&limit=5") == (400, "INVALID_REQUEST", {"limit"})


def test_a_token_with_tags_sees_what_was_done_with_its_jobs(api: Api, settings: Any) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"API_AUTH": "token"}
    make_job("mine", tags=["mine"])
    make_job("other")
    token = make_token(tags=["mine"])
    for job_id in ("mine", "other"):
        services.pause_job(job_id, now=NOW)
    shown = api.get("/scheduler/audit", authorization=token)["results"]
    assert [event["job_id"] for event in shown] == ["mine"]


# --- the admin's list ------------------------------------------------------------------------------------------------


def test_the_page_shows_who_did_what_and_what_changed(admin: Admin) -> None:
    services.add_job(BODY, now=NOW)
    with acting(Origin(actor="anna", door=Door.API, token="czm_abc", address="10.0.0.1")):
        services.update_job("job", {"description": "<b>new</b>"}, now=NOW)
    page = admin.read(AUDIT)
    assert "anna api, token czm_abc… from 10.0.0.1" in text(page)
    assert "job updated" in text(page)
    assert 'description before: "" after: <b>new</b>' in text(page)
    assert "<b>new</b>" not in page
    assert f'href="{JOBS}job/change/"' in page
    newest = AuditEvent.objects.latest("id")
    assert "job updated" in text(admin.read(f"{AUDIT}{newest.pk}/change/"))


def test_the_page_has_filters_and_a_search_for_whole_names(admin: Admin) -> None:
    many()
    assert "job-1" in admin.read(AUDIT, q="ben")
    assert "job-0" not in admin.read(AUDIT, q="ben")
    assert "job-0" not in admin.read(AUDIT, action="all_paused")
    assert "job-0" in admin.read(AUDIT, door="code")


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ({"since": "24h"}, ["new"]),
        ({"from": "2029-12-01"}, ["new"]),
        ({"from": "2029-12-01", "to": "2029-12-31"}, []),
        ({"to": "2029-11-01"}, ["old"]),
        ({"since": "7d", "to": "2029-11-01"}, []),
    ],
)
def test_the_page_shows_the_entries_of_a_time(admin: Admin, query: dict[str, str], shown: list[str]) -> None:
    for name, at in (("new", NOW), ("old", NOW - timedelta(days=90))):
        audit.record(Action.JOB_PAUSED, now=at, job_id=name)
    page = admin.read(AUDIT, **query)
    assert [name for name in ("new", "old") if f">{name}<" in page] == shown


def test_a_time_that_is_none_is_refused(admin: Admin) -> None:
    assert admin.client.get(AUDIT, {"from": "soon"})["Location"].endswith("?e=1")
    assert admin.client.get(f"{AUDIT}export/csv/", {"from": "soon"}).status_code == 400


def test_the_page_is_exported_with_its_filters(admin: Admin) -> None:
    audit.record(Action.JOB_PAUSED, now=NOW, job_id="a", changes={"paused": (False, True)})
    audit.record(Action.JOB_RESUMED, now=NOW, job_id="b")
    rows = list(csv.DictReader(StringIO(body(admin.open(f"{AUDIT}export/csv/", action="job_paused")))))
    assert [(row["job_id"], row["changes"]) for row in rows] == [("a", '{"paused": [false, true]}')]
    (one,) = json.loads(body(admin.open(f"{AUDIT}export/json/", action="job_resumed")))
    assert (one["job_id"], one["changes"]) == ("b", {})
    assert f'href="{AUDIT}export/csv/?action=job_paused"' in admin.read(AUDIT, action="job_paused")


def test_who_may_not_see_the_audit_cannot_export_it(at_noon: Any) -> None:
    assert Admin("view_job").client.get(f"{AUDIT}export/csv/").status_code == 403


def body(response: Any) -> str:
    return b"".join(response.streaming_content).decode()


def test_nobody_adds_changes_or_deletes_an_entry_in_the_admin(admin: Admin) -> None:
    services.pause_all(now=NOW)
    (event,) = events()
    for path in (f"{AUDIT}add/", f"{AUDIT}{event.pk}/delete/"):
        assert admin.client.post(path).status_code == 403
    assert admin.client.post(f"{AUDIT}{event.pk}/change/", {"actor": "x"}).status_code == 405


def test_only_those_with_the_permission_see_the_audit(at_noon: Any) -> None:
    assert Admin("view_job").client.get(AUDIT).status_code == 403
    assert "Audit" in Admin("view_auditevent", name="ben").read(AUDIT)


# --- plans -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("", "newest"), ("actor=anna-7", "by_actor"), ("action=job_paused", "by_action"), ("door=file", "by_door"),
        ("job=job-7", "of_job"),
    ],
)  # fmt: skip
def test_each_list_is_read_off_its_index(api: Api, query: str, index: str) -> None:
    AuditEvent.objects.bulk_create(
        AuditEvent(
            at=NOW + timedelta(seconds=n), actor=f"anna-{n % 100}", job_id=f"job-{n % 100}",
            door="file" if n % 100 == 0 else "api",
            action="job_paused" if n % 100 == 0 else "run_queued",
        )
        for n in range(10_000)
    )  # fmt: skip
    analyze()
    (found,) = plans(lambda: api.get(f"/scheduler/audit?{query}"), about='FROM "cronzimus_auditevent"')
    assert_reads(found, f"audit_{index}")
    assert_unsorted(found)
