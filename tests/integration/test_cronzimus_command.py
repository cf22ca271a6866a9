"""`manage.py cronzimus`: every subcommand, with its exit status, as text and as JSON."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from jobs import services
from jobs.core.runs import RunStatus
from jobs.management.cli import jobs
from jobs.models import AlertRule, Job, Run
from jobs.transfer import sync
from tests.fakes import make_run, make_worker

pytestmark = pytest.mark.django_db

BODY: dict[str, Any] = {"id": "a", "func": "tests:record", "trigger": "interval", "hours": 1}


def command(*words: str) -> tuple[int, str, str]:
    """Run a subcommand and return its exit status, its output and its notes."""
    out, err = StringIO(), StringIO()
    status = 0
    try:
        call_command("cronzimus", *words, stdout=out, stderr=err)
    except SystemExit as ended:
        status = int(ended.code or 0)
    return status, out.getvalue(), err.getvalue()


def answer(*words: str) -> Any:
    return json.loads(command(*words, "--json")[1])


@pytest.fixture
def job() -> Job:
    return services.add_job(BODY, now=timezone.now())


@pytest.fixture
def run(job: Job) -> Run:
    now = timezone.now()
    return Run.objects.create(
        job=job, func=job.func, status=RunStatus.FAILED, trigger="schedule", scheduled_time=now, started_at=now,
        finished_at=now, error="ValueError: no", traceback="Traceback …\nValueError: no", output="one\ntwo\n",
    )  # fmt: skip


@pytest.fixture
def jobs_file(tmp_path: Path) -> Path:
    path = tmp_path / "jobs.yaml"
    path.write_text("version: 1\njobs:\n- {id: a, func: 'tests:record', trigger: {type: interval, hours: 2}}\n")
    return path


def test_jobs_are_listed_in_columns(job: Job) -> None:
    status, out, _ = command("jobs")
    assert status == 0
    title, line = out.splitlines()
    assert title.split()[:2] == ["ID", "STATE"]
    assert line.startswith("a   pending  every hour")


def test_an_empty_list_says_so() -> None:
    assert command("jobs")[1] == "There are no jobs.\n"
    assert command("jobs", "--state", "broken")[1] == "There are no broken jobs.\n"


def test_jobs_are_narrowed_by_state(job: Job) -> None:
    assert [row["id"] for row in answer("jobs", "--state", "pending")] == ["a"]
    assert answer("jobs", "--state", "paused") == []


def test_one_job_is_shown(job: Job) -> None:
    assert answer("show", "a")["trigger"] == {"type": "interval", "hours": 1}
    assert "state: pending" in command("show", "a")[1]


@pytest.mark.parametrize("words", [["show"], ["run"], ["pause"], ["resume"], ["next"], ["export"]])
def test_a_job_that_is_not_there_is_an_error(words: list[str]) -> None:
    with pytest.raises(CommandError, match="there is no job 'gone'"):
        command(*words, "gone")


def test_a_job_that_is_not_there_is_an_error_that_names_a_similar_one(job: Job) -> None:
    services.add_job(BODY | {"id": "nightly"}, now=timezone.now())
    with pytest.raises(CommandError, match=r"there is no job 'nighty'; did you mean 'nightly'\?"):
        command("pause", "a", "nighty")


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_of_several_jobs_all_are_changed_or_none(job: Job, verb: str) -> None:
    if verb == "resume":
        services.pause_job("a", now=timezone.now())
    before = Job.objects.get().paused
    with pytest.raises(CommandError, match="there is no job 'gone'"):
        command(verb, "a", "gone")
    assert Job.objects.get().paused is before


def test_pauses_answer_as_json(job: Job) -> None:
    assert answer("pause", "a") == [{"id": "a", "status": "paused"}]
    assert answer("resume", "a") == [{"id": "a", "status": "resumed"}]


def test_what_a_subcommand_does_is_printed_and_not_logged_beside(job: Job, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    command("run", "a")
    assert not caplog.records


def test_waiting_without_a_scheduler_says_so(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    def end(seconds: float) -> None:
        Run.objects.update(status=RunStatus.SUCCEEDED, finished_at=timezone.now())

    monkeypatch.setattr(jobs, "time", SimpleNamespace(sleep=end))  # not of all threads
    status, out, err = command("run", "a", "--wait")
    assert (status, out) == (0, f"run {Run.objects.get().pk} succeeded\n")
    assert "No scheduler is alive" in err


def test_a_job_is_run_with_other_arguments(job: Job) -> None:
    run_id = answer("run", "a", "--args", "[5]")["run_id"]
    run = Run.objects.get(pk=run_id)
    assert (run.status, run.args) == (RunStatus.QUEUED, [5])
    assert "command line" in run.actor


def test_jobs_are_paused_and_resumed(job: Job) -> None:
    assert command("pause", "a")[:2] == (0, "a is paused\n")
    assert Job.objects.get().paused
    command("resume", "a")
    assert not Job.objects.get().paused


def test_a_job_is_paused_until_an_instant(job: Job) -> None:
    command("pause", "a", "--until", "2999-01-01T00:00:00Z")
    assert Job.objects.get().paused_until.year == 2999
    Job.objects.update(trigger={"type": "interval", "hours": 1, "timezone": "Europe/Berlin"})
    command("pause", "a", "--until", "2999-01-01 00:00")
    assert Job.objects.get().paused_until == datetime(2998, 12, 31, 23, tzinfo=UTC)


@pytest.mark.parametrize(
    "words", [["pause", "a", "--until", "soon"], ["run", "a", "--args", "{}"], ["next", "-n", "0"]]
)
def test_a_wrong_option_is_refused(words: list[str]) -> None:
    with pytest.raises(CommandError, match=r"argument"):
        command(*words)


def test_the_next_fire_times_are_listed_in_order(job: Job) -> None:
    services.add_job(BODY | {"id": "b", "hours": 3}, now=timezone.now())
    rows = answer("next", "-n", "4")
    assert [row["id"] for row in rows][:2] == ["a", "a"]
    assert len(rows) == 4
    assert [row["fire_time"] for row in rows] == sorted(row["fire_time"] for row in rows)
    assert {row["id"] for row in answer("next", "b", "-n", "2")} == {"b"}


def test_runs_are_listed_and_narrowed(run: Run) -> None:
    assert answer("runs")[0]["reason"] == "ValueError: no"
    assert answer("runs", "--job", "a", "--status", "succeeded") == []


def test_fire_times_end_with_the_runs_that_a_job_has_left() -> None:
    services.add_job(BODY | {"max_runs": 2}, now=timezone.now())
    assert len(answer("next", "a")) == 2


def test_the_runs_of_a_removed_job_are_listed(run: Run) -> None:
    services.remove_job("a", now=timezone.now())
    assert [row["id"] for row in answer("runs", "--job", "a")] == [run.pk]
    with pytest.raises(CommandError, match="there is no job 'gone'"):
        command("runs", "--job", "gone")


def test_logs_answer_as_json(run: Run) -> None:
    shown = json.loads(command("logs", "a", "--json")[1])
    assert (shown["id"], shown["status"], shown["output"]) == (run.pk, "failed", "one\ntwo\n")
    assert shown["traceback"].endswith("ValueError: no")


@pytest.mark.parametrize("by", ["number", "job"])
def test_logs_print_the_output_and_exit_with_1_for_a_failure(run: Run, by: str) -> None:
    status, out, err = command("logs", str(run.pk) if by == "number" else "a", "-f")
    assert (status, out) == (1, "one\ntwo\n")
    assert err.endswith("ValueError: no\n" + f"run {run.pk} of a: failed\n")


def test_logs_of_a_job_are_those_of_its_newest_run_and_not_of_a_fire_time_left_out_in_the_future(run: Run) -> None:
    services.skip_next("a", now=timezone.now())
    assert Run.objects.order_by("-scheduled_time")[0].status == RunStatus.SKIPPED
    assert command("logs", "a")[1] == "one\ntwo\n"


def test_logs_of_a_job_that_only_left_out_a_fire_time_say_so(job: Job) -> None:
    services.skip_next("a", now=timezone.now())
    assert command("logs", "a")[2].endswith("of a: skipped\n")


def test_logs_of_what_never_ran_are_an_error(job: Job) -> None:
    with pytest.raises(CommandError, match="no job of this id that has run"):
        command("logs", "a")


def test_messages_name_the_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    for words in (("diff", "-f", "-"), ("import", "apscheduler", "-"), ("import", "celery-beat", "-")):
        monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(b"- a")))
        with pytest.raises(CommandError, match=r"^the standard input "):
            command(*words)


def test_an_export_has_the_alert_rules_and_of_named_jobs_only_their_own(job: Job) -> None:
    for name, about in (("all", {}), ("one", {"job": job})):
        AlertRule.objects.create(name=name, events=["failure"], **about)
    rules = json.loads(command("export", "--json")[1])["alerts"]
    assert [rule["name"] for rule in rules] == ["all", "one"]
    rules = json.loads(command("export", job.id, "--json")[1])["alerts"]
    assert [(rule["name"], rule["job"]) for rule in rules] == [("one", job.id)]


def test_an_export_can_be_applied(job: Job, tmp_path: Path) -> None:
    path = tmp_path / "exported.yaml"
    path.write_text(command("export")[1])
    assert command("diff", "-f", str(path))[:2] == (0, "1 unchanged\n")


def test_a_diff_shows_the_change_and_exits_with_2(job: Job, jobs_file: Path) -> None:
    status, out, _ = command("diff", "-f", str(jobs_file))
    assert status == 2
    assert 'trigger: {"type": "interval", "hours": 1} → {"type": "interval", "hours": 2}' in out
    assert out.endswith("1 to change\n")


def test_a_dry_run_changes_nothing(job: Job, jobs_file: Path) -> None:
    assert command("apply", "-f", str(jobs_file), "--dry-run")[0] == 2
    assert Job.objects.get().trigger["hours"] == 1


def test_a_file_is_applied(job: Job, jobs_file: Path) -> None:
    status, out, _ = command("apply", "-f", str(jobs_file))
    assert (status, out.splitlines()[-1]) == (0, "1 changed")
    assert Job.objects.get().trigger["hours"] == 2
    assert command("diff", "-f", str(jobs_file))[0] == 0


@pytest.mark.parametrize("name", ["apply", "diff"])
def test_a_job_that_is_removed_meanwhile_is_told(jobs_file: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def gone(*args: Any, **options: Any) -> None:
        raise services.job_not_found("a")

    monkeypatch.setattr(sync, "compare", gone)
    with pytest.raises(CommandError, match="there is no job 'a'"):
        command(name, "-f", str(jobs_file))


def test_an_invalid_job_is_named_and_nothing_is_applied(jobs_file: Path) -> None:
    jobs_file.write_text(jobs_file.read_text() + "- {id: b, func: 'os:system', trigger: {type: interval, hours: 2}}\n")
    assert command("diff", "-f", str(jobs_file))[0] == 1
    with pytest.raises(CommandError, match="nothing was applied"):
        command("apply", "-f", str(jobs_file))
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"\xff\xfe", "cannot be read: it is not UTF-8"),
        (b"version: 1\njobs: [5]", r"jobs\[0\] is not an object"),
        (b"version: 1\njobs: {}", "'jobs' must be a list"),
        (b"version: 2\njobs: []", "this one reads version 1"),
        (b"", "must be an object"),
    ],
)
def test_a_file_of_another_form_is_an_error(tmp_path: Path, content: bytes | None, reason: str) -> None:
    path = tmp_path / "jobs.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CommandError, match=reason):
        command("apply", "-f", str(path))


def test_an_import_prints_a_file_and_a_report(tmp_path: Path) -> None:
    path = tmp_path / "schedule.json"
    path.write_text('[{"id": "a", "func": "tests:record", "trigger": "interval", "hours": 1}, {"id": "b"}]')
    status, out, err = command("import", "flask-apscheduler", str(path))
    assert status == 0
    assert "func: tests:record" in out
    assert "job 'b': left out: its trigger None has no counterpart" in err
    assert "JOB_FUNCTIONS=tests:record" in err


CRONTAB = "MAILTO=ops@example.com\n0 2 * * * backup\n@reboot start\n"


def test_an_imported_crontab_is_applied_with_its_alert_rule(tmp_path: Path, settings: Any) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"JOB_SHELL": True}
    path = tmp_path / "crontab"
    path.write_text(CRONTAB)
    status, out, err = command("import", "crontab", str(path))
    assert (status, err.splitlines()[-1]) == (0, "1 mapped, 1 left out")
    (tmp_path / "jobs.yaml").write_text(out)
    assert command("apply", "-f", str(tmp_path / "jobs.yaml"))[0] == 0
    assert AlertRule.objects.get().tag == Job.objects.get().tags[0]
    assert command("import", "crontab", str(path), "--apply")[1] == "2 unchanged\n"


def test_an_import_says_what_keeps_its_jobs_from_being_applied_yet(tmp_path: Path) -> None:
    path = tmp_path / "crontab"
    path.write_text(CRONTAB)
    status, _, err = command("import", "crontab", str(path))
    assert status == 0
    assert "not to be applied yet, 1 job: command: shell commands are off; set JOB_SHELL=true" in err


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("0 0 * * fri-sun a", "runs backwards; write 5-7"),
        ("99 * * * * a", "out of range"),
        ("CRON_TZ=Mars/Phobos\n0 0 * * * a", "is not an IANA time zone"),
        ("not a line", "is not a crontab line"),
    ],
)
def test_an_invalid_entry_is_reported_and_keeps_all_others_from_being_applied(
    tmp_path: Path, settings: Any, line: str, reason: str
) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"JOB_SHELL": True}
    path = tmp_path / "crontab"
    path.write_text(CRONTAB + line + "\n")
    status, out, err = command("import", "crontab", str(path))
    assert status == 1
    assert f"invalid: {'timezone: ' if 'TZ' in line else ''}" in err
    assert reason in err
    assert "id: backup" in out
    with pytest.raises(CommandError, match="nothing was applied"):
        command("import", "crontab", str(path), "--apply")
    assert not Job.objects.exists()


def test_an_import_of_what_is_over_says_so(tmp_path: Path) -> None:
    path = tmp_path / "jobs.json"
    path.write_text('[{"id": "a", "func": "tests:record", "trigger": "date", "run_date": "2020-01-01"}]')
    assert "its time has passed: it is completed" in command("import", "flask-apscheduler", str(path))[2]


def test_a_setting_whose_module_raises_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "raises_at_import.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(CommandError, match="cannot be imported: ZeroDivisionError"):
        command("import", "beat-schedule", "raises_at_import:X")


def test_an_import_can_be_applied_at_once(tmp_path: Path) -> None:
    path = tmp_path / "schedule.json"
    path.write_text('[{"id": "a", "func": "tests:record", "trigger": "interval", "hours": 1}]')
    command("import", "flask-apscheduler", str(path), "--apply")
    assert Job.objects.get().source == "schedule.json"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["crontab"], "needs a file"),
        (["crontab", "/nonexistent/file"], "cannot be read"),
        (["celery-beat"], "has no tables of django-celery-beat"),
        (["beat-schedule", "no_such_module:X"], "cannot be imported"),
        (["beat-schedule", "nocolon"], "MODULE:NAME"),
        (["beat-schedule", "tests.fakes:NOW"], "is not a dictionary"),
    ],
)
def test_a_source_that_cannot_be_read_is_an_error(words: list[str], reason: str) -> None:
    with pytest.raises(CommandError, match=reason):
        command("import", *words)


def test_the_tables_of_celery_beat_are_read_from_this_database() -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE django_celery_beat_intervalschedule (id integer, every integer, period varchar(24))"
        )
        cursor.execute("INSERT INTO django_celery_beat_intervalschedule VALUES (3, 10, 'minutes')")
        cursor.execute(
            "CREATE TABLE django_celery_beat_periodictask (id integer, name varchar(200), task varchar(200), "
            "interval_id integer, args text, kwargs text, enabled boolean, one_off boolean)"
        )
        cursor.execute(
            "INSERT INTO django_celery_beat_periodictask VALUES (1, 'x', 'shop.send', 3, '[]', '{}', true, false)"
        )
    entry, whole = answer("import", "celery-beat")
    assert "CELERY_APP" in whole["notes"][0]
    assert entry["job"]["trigger"] == {"type": "interval", "minutes": 10}
    assert "paused" not in entry["job"]


def test_the_exporter_for_apscheduler_is_a_program_of_its_own() -> None:
    source = command("exporter")[1]
    compile(source, "apscheduler_export.py", "exec")
    assert "from ." not in source
    assert "jobs.transfer" not in source


def test_the_doctor_finds_that_no_scheduler_is_alive(job: Job) -> None:
    status, out, _ = command("doctor")
    assert status == 1
    assert "none is alive, so no job runs: start manage.py runscheduler" in out


def test_the_doctor_names_some_of_many_missing_migrations(monkeypatch: pytest.MonkeyPatch) -> None:
    from django.db.migrations.recorder import MigrationRecorder

    monkeypatch.setattr(MigrationRecorder, "applied_migrations", lambda self: {})
    (found,) = [row for row in answer("doctor") if row["check"] == "migrations"]
    assert "cronzimus.0001_initial, " in found["finding"]
    assert found["finding"].endswith(", …): run manage.py migrate")


def test_the_doctor_names_a_queue_that_no_worker_serves(job: Job, settings: Any) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"CELERY_BROKER_URL": "redis://host/0"}
    Job.objects.update(executor="celery", queue="reports")
    (found,) = [row for row in answer("doctor") if row["check"] == "settings cronzimus.W010"]
    assert found["result"] == "warning"
    assert found["finding"] == (
        "No worker serves the queue reports, which jobs use. Until one is started, these jobs stay due: "
        "celery -A cronzimus_site worker -Q reports"
    )


def of_workers() -> list[str]:
    """Return what the doctor says of the backlog and of workers."""
    return [row["finding"] for row in answer("doctor") if row["check"] in ("workers", "backlog")]


def test_the_doctor_names_runs_that_do_not_reach_a_worker(job: Job, settings: Any) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"CELERY_BROKER_URL": "redis://host/0"}
    Job.objects.update(next_run_time=None)
    assert of_workers() == ["no job is overdue, and no run waits for long"]
    now = datetime.now(UTC)
    make_worker(lease_until=now + timedelta(seconds=15))
    sent = {"executor": "celery", "scheduler_id": "celery", "dispatches": 1, "queued_at": now - timedelta(seconds=90)}
    make_run(**sent, queue="reports", dispatched_at=sent["queued_at"])
    make_run("old", **sent, queue="old", dispatched_at=now)
    backlog, taken, served = of_workers()
    assert re.match(r"1 run has waited to start, the oldest for (9\d|1\d\d) s", backlog)
    assert taken.startswith("1 message was sent to the queue reports, and no worker took it.")
    assert served.startswith("No worker serves the queue old: its jobs and runs wait. Start one: ")


def test_the_doctor_names_those_with_another_broker(job: Job, settings: Any) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"CELERY_BROKER_URL": "redis://host/0"}
    make_worker(lease_until=datetime.now(UTC) + timedelta(seconds=15), broker="redis://far:6379/0")
    (found,) = [row["finding"] for row in answer("doctor") if row["check"] == "brokers"]
    assert found.startswith("This process uses the broker redis://host:6379/0, but w1 uses redis://far:6379/0.")


def test_the_doctor_names_a_broken_job(job: Job) -> None:
    Job.objects.update(func="gone:away")
    found = [row for row in answer("doctor") if row["check"] == "job a"]
    assert "gone:away" in found[0]["finding"]
