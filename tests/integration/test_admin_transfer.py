"""Import and export in the admin: a file is compared first, and applied as it was shown, all of it or nothing."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from jobs import services
from jobs.admin.jobs import transfer_page
from jobs.models import AlertRule, AuditEvent, Job
from tests.fakes import NOW, make_job

from .admin_support import JOBS, Admin, admin_fixture, at_noon_fixture, messages, text  # noqa: F401

pytestmark = pytest.mark.any_database

PAGE = f"{JOBS}transfer/"
FILE = """version: 1
jobs:
- {id: new, func: "tests:record", trigger: {type: interval, hours: 1}}
- {id: job, func: "tests:record", trigger: {type: interval, seconds: 10}, description: changed}
"""
ALERTS = "version: 1\njobs: []\nalerts:\n- {name: mails, tag: x, events: [failure], email: a@example.com}\n"


def compare(admin: Admin, content: str, **more: Any) -> Any:
    return admin.send(PAGE, step="compare", **{"kind": "jobs", "text": content, "name": "jobs.yaml", **more})


def apply(admin: Admin, shown: Any, content: str, **more: Any) -> Any:
    digest = re.search(r'name="digest" value="([^"]+)"', shown.content.decode())
    given = {"kind": "jobs", "text": content, "name": "jobs.yaml", "digest": digest[1] if digest else "", **more}
    return admin.send(PAGE, step="apply", **given)


def test_a_file_is_compared_and_then_applied(admin: Admin) -> None:
    services.add_job({"id": "job", "func": "tests:record", "trigger": "interval", "seconds": 10}, now=NOW)
    shown = compare(admin, FILE)
    page = text(shown.content.decode())
    assert "1 create 1 change" in page
    assert 'description before: "" after: changed' in page
    assert not Job.objects.filter(pk="new").exists()
    assert messages(apply(admin, shown, FILE)) == ["Applied: 1 created, 1 changed."]
    assert {job.pk: job.source for job in Job.objects.all()} == {"new": "jobs.yaml", "job": "jobs.yaml"}
    assert set(AuditEvent.objects.filter(job_id="new").values_list("door", "actor")) == {("file", "root")}


def test_what_is_no_longer_what_was_shown_is_shown_again(admin: Admin) -> None:
    shown = compare(admin, FILE)
    make_job("new")
    page = text(apply(admin, shown, FILE).content.decode())
    assert "Nothing was applied. What the file would change is no longer what you were shown." in page
    assert not Job.objects.filter(pk="job").exists()


def test_an_upload_is_read_and_names_the_source(admin: Admin) -> None:
    upload = SimpleUploadedFile("team.yaml", ("\ufeff" + FILE).encode())
    shown = admin.send(PAGE, step="compare", kind="jobs", file=upload, text="", name="")
    assert "2 create" in text(shown.content.decode())
    apply(admin, shown, FILE, name="team.yaml")
    assert set(Job.objects.values_list("source", flat=True)) == {"team.yaml"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"text": ""}, "Choose a file, or paste its text."),
        ({"text": "version: 2\njobs: []"}, "version"),
        ({"text": "[1"}, "is not YAML that can be read"),
        ({"kind": "apscheduler", "text": "[]"}, "The text "),
        ({"kind": "celery-beat", "text": "{}"}, "is not the output of"),
        ({"kind": "MODULE:NAME"}, "Select a valid choice"),
        ({"text": "#" * 200_001}, "This page takes 200,000 characters"),
    ],
)
def test_what_cannot_be_read_is_told(admin: Admin, given: dict[str, str], said: str) -> None:
    answer = admin.send(PAGE, **{"step": "compare", "kind": "jobs", "text": FILE, "name": "", **given})
    assert said in text(answer.content.decode())
    assert not Job.objects.exists()


def test_a_file_that_is_not_utf_8_is_told(admin: Admin) -> None:
    upload = SimpleUploadedFile("jobs.yaml", b"\xff\xfe\x00")
    assert "It is not UTF-8." in text(admin.send(PAGE, kind="jobs", file=upload).content.decode())


def test_an_invalid_job_keeps_all_from_being_applied(admin: Admin) -> None:
    content = FILE + '- {id: bad, func: "gone:away", trigger: {type: interval, hours: 1}}\n'
    shown = compare(admin, content)
    page = text(shown.content.decode())
    assert "Nothing can be applied" in page
    assert "gone:away" in page
    assert 'value="apply"' not in shown.content.decode()
    apply(admin, shown, content)
    assert not Job.objects.exists()


def test_a_crontab_becomes_jobs_with_a_note_on_each_line(admin: Admin, settings: Any) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"JOB_SHELL": True}
    crontab = "# backups\n30 2 * * * /usr/bin/backup --all\n61 * * * * broken\n"
    page = text(compare(admin, crontab, kind="crontab", name="").content.decode())
    assert "line 2" in page
    assert "/usr/bin/backup --all" in page
    assert "line 3" in page
    assert "invalid" in page


def test_jobs_that_are_missing_are_paused_if_that_is_asked_for(admin: Admin) -> None:
    make_job("old", source="jobs.yaml")
    shown = compare(admin, FILE, pause_missing="on")
    assert "1 pause" in text(shown.content.decode())
    apply(admin, shown, FILE, pause_missing="on")
    assert Job.objects.get(pk="old").paused


def test_secrets_are_masked_in_the_comparison(admin: Admin) -> None:
    content = 'version: 1\njobs:\n- {id: a, func: "tests:echo", trigger: {type: interval, hours: 1}, '
    content += "kwargs: {password: hush}}\n"
    page = compare(admin, content).content.decode()
    shown = page[page.index("<h2>Changes</h2>") : page.index("<legend>Import")]
    assert "hush" not in re.sub(r"<textarea.*?</textarea>", "", shown, flags=re.S)


def test_alert_rules_of_a_file_need_the_permissions_of_alerts(at_noon: Any) -> None:
    editor = Admin("view_job", "add_job", "change_job")
    assert compare(editor, ALERTS).status_code == 403
    admin = Admin(name="root", superuser=True)
    apply(admin, compare(admin, ALERTS), ALERTS)
    assert AlertRule.objects.get().name == "mails"


@pytest.mark.parametrize("permissions", [(), ("add_job",), ("change_job",)])
def test_an_import_needs_the_permissions_to_add_and_change_jobs(at_noon: Any, permissions: tuple[str, ...]) -> None:
    viewer = Admin("view_job", *permissions)
    assert "Import is for editors" in text(viewer.read(PAGE))
    assert compare(viewer, FILE).status_code == 403
    assert apply(viewer, compare(viewer, FILE), FILE).status_code == 403
    assert not Job.objects.exists()


def test_pausing_what_is_missing_needs_the_permission_to_pause(at_noon: Any) -> None:
    editor = Admin("view_job", "add_job", "change_job")
    assert compare(editor, FILE, pause_missing="on").status_code == 403


def test_what_is_exported_changes_nothing_when_it_is_imported(admin: Admin) -> None:
    make_job("a", kwargs={"n": 1})
    make_job("b", tags=["x"])
    exported = admin.open(f"{PAGE}export/")
    assert "attachment" in exported["Content-Disposition"]
    page = text(compare(admin, exported.content.decode()).content.decode())
    assert "2 unchanged" in page
    assert "Nothing: all of it is as the file has it." in page


def test_the_alert_rules_are_exported_for_those_who_may_see_them(admin: Admin) -> None:
    AlertRule.objects.create(name="Ops", events=["failure"])
    exported = admin.open(f"{PAGE}export/").content.decode()
    assert "name: Ops" in exported
    editor = Admin("view_job", "change_job", "add_job", name="ben")
    assert "Ops" not in editor.open(f"{PAGE}export/").content.decode()
    assert "unchanged" in text(compare(editor, exported).content.decode())


def test_the_list_of_jobs_is_exported_as_it_is_narrowed(admin: Admin) -> None:
    make_job("a")
    make_job("b", tags=["x"])
    content = admin.open(f"{JOBS}export/yaml/", tag="x").content.decode()
    assert "id: b" in content
    assert "id: a" not in content
    assert f'href="{JOBS}export/yaml/?tag=x"' in admin.read(JOBS, tag="x")


def test_who_may_not_change_jobs_cannot_export_their_arguments(at_noon: Any) -> None:
    make_job(kwargs={"password": "hush"})
    viewer = Admin("view_job")
    for path in (f"{PAGE}export/", f"{JOBS}export/yaml/"):
        assert viewer.client.get(path).status_code == 403
    assert "export/yaml" not in viewer.read(JOBS)


def test_the_limit_is_below_that_of_the_server(settings: Any) -> None:
    assert transfer_page.LARGEST < settings.DATA_UPLOAD_MAX_MEMORY_SIZE
