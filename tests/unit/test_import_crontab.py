"""Crontab files: each line becomes a job, or is left out with the reason."""

from __future__ import annotations

import pytest

from jobs.transfer.crontab import read_crontab


def only(text: str, **options: bool) -> dict:
    (job,) = read_crontab(text, **options).jobs
    return job


def test_a_line_becomes_a_shell_job_with_its_crontab() -> None:
    job = only("*/5 * * * * /opt/backup.sh --all\n")
    assert (job["id"], job["func"], job["args"]) == ("backup.sh", "cronzimus.functions:shell", ["/opt/backup.sh --all"])
    assert job["trigger"] == {"type": "cron", "crontab": "*/5 * * * *"}


def test_blank_lines_and_comments_are_nothing() -> None:
    assert read_crontab("\n  \n# a comment\n   # another\n").entries == []


def test_assignments_hold_for_the_lines_below_them() -> None:
    first, second = read_crontab("0 1 * * * a\nPATH = /opt/bin\nX='two words'\n0 2 * * * b\n").jobs
    assert "env" not in first.get("kwargs", {})
    assert second["kwargs"]["env"] == {"PATH": "/opt/bin", "X": "two words"}


def test_the_time_zone_of_cron_is_the_triggers() -> None:
    assert only("CRON_TZ=Asia/Tokyo\n0 9 * * * report\n")["trigger"]["timezone"] == "Asia/Tokyo"


def test_a_time_zone_in_the_environment_does_not_change_when_a_command_starts() -> None:
    job = only("TZ=Asia/Tokyo\n0 9 * * * report\n")
    assert "timezone" not in job["trigger"]
    assert job["kwargs"] == {"env": {"TZ": "Asia/Tokyo"}}


def test_a_home_of_the_file_is_where_its_commands_start() -> None:
    assert only("HOME=/srv/app\n0 9 * * * report\n")["kwargs"] == {"env": {"HOME": "/srv/app"}, "cwd": "/srv/app"}


def test_the_shell_of_the_file_is_the_jobs() -> None:
    assert only("SHELL=/bin/bash\n0 9 * * * report\n")["kwargs"] == {"shell": "/bin/bash"}


def test_mailto_becomes_an_alert_rule_about_the_commands_below_it() -> None:
    imported = read_crontab("0 1 * * * a\nMAILTO=ops@example.com, dev@example.com\n0 2 * * * b\n0 3 * * * c\n")
    (rule,) = imported.alerts
    assert (rule["email"], rule["events"]) == ("ops@example.com, dev@example.com", ["failure", "recovery"])
    assert [job.get("tags") for job in imported.jobs] == [None, [rule["tag"]], [rule["tag"]]]
    assert f"the alert rule {rule['name']!r} mails failures" in imported.entries[1].notes[0]


def test_mailto_holds_until_the_next_one() -> None:
    imported = read_crontab(
        "MAILTO=a@example.com\n0 1 * * * a\nMAILTO=\n0 2 * * * b\nMAILTO='b@example.com'\n0 3 * * * c\n"
    )
    assert [rule["email"] for rule in imported.alerts] == ["a@example.com", "b@example.com"]
    assert [bool(job.get("tags")) for job in imported.jobs] == [True, False, True]


def test_mailto_of_no_command_becomes_nothing() -> None:
    assert read_crontab("0 1 * * * a\nMAILTO=a@example.com\n").alerts == []


def test_mailto_of_a_user_of_the_machine_is_pointed_to_an_alert_rule() -> None:
    imported = read_crontab("MAILTO=root\n0 1 * * * a\n")
    assert imported.alerts == []
    assert "root, which is not an e-mail address: make an alert rule" in imported.entries[0].notes[0]


def test_mailto_of_an_address_and_a_user_keeps_the_address() -> None:
    imported = read_crontab("MAILTO=ops@example.com,root\n0 1 * * * a\n")
    assert [rule["email"] for rule in imported.alerts] == ["ops@example.com"]
    assert imported.entries[0].notes[0].endswith("root is not an e-mail address: add another one to the rule")


@pytest.mark.parametrize(
    ("command", "line", "stdin"),
    [
        ("mail x%Hello%World", "mail x", "Hello\nWorld\n"),
        (r"date +\%F", "date +%F", None),
        (r"echo 100\% done%now", "echo 100% done", "now\n"),
        ("cat%", "cat", "\n"),
        ("mail joe%Hi,%%bye%", "mail joe", "Hi,\n\nbye\n"),
        (r"cat%50\%%\n", "cat", "50%\n\\n\n"),
        (r"echo a\\%b", r"echo a\\", "b\n"),
    ],
)
def test_a_percent_sign_starts_the_standard_input(command: str, line: str, stdin: str | None) -> None:
    job = only(f"0 0 * * * {command}\n")
    assert job["args"] == [line]
    assert job.get("kwargs", {}).get("stdin") == stdin


def test_a_line_of_a_system_crontab_names_its_user() -> None:
    (entry,) = read_crontab("17 * * * * www-data cd / && run-parts /etc/cron.hourly\n", system=True).entries
    assert entry.job["args"] == ["cd / && run-parts /etc/cron.hourly"]
    assert entry.job["id"] == "run-parts"
    assert entry.notes == ["ran as www-data: it runs as the scheduler's user now"]


@pytest.mark.parametrize("blanks", ["\t", "  \t "])
def test_tabs_stand_between_the_fields_of_a_system_crontab(blanks: str) -> None:
    line = blanks.join(["25", "6", "*", "*", "*", "root", "test -x /usr/sbin/anacron || run-parts /etc/cron.daily"])
    (entry,) = read_crontab(line + "\n", system=True).entries
    assert entry.job["args"] == ["test -x /usr/sbin/anacron || run-parts /etc/cron.daily"]
    assert entry.notes == ["ran as root: it runs as the scheduler's user now"]


@pytest.mark.parametrize(("command", "is_hinted"), [("root\t/opt/x", True), ("root", False), ("rooted /opt/x", False)])
def test_a_line_of_a_system_crontab_that_is_read_as_one_of_a_user_is_pointed_out(command: str, is_hinted: bool) -> None:
    (entry,) = read_crontab(f"0 3 * * * {command}\n").entries
    assert any("--system" in note for note in entry.notes) == is_hinted


def test_a_password_in_the_environment_is_to_become_a_reference() -> None:
    assignment, plain, _ = read_crontab("PGPASSWORD=hunter2\nLEVEL=3\n0 3 * * * pg_dump\n").entries
    assert '{"$secret": "PGPASSWORD"}' in assignment.notes[0]
    assert "hunter2" not in assignment.notes[0]
    assert "$secret" not in plain.notes[0]


def test_a_hyphen_before_the_minute_only_kept_the_command_out_of_the_log() -> None:
    (entry,) = read_crontab("-*/15 * * * * -a\n").entries
    assert (entry.job["trigger"]["crontab"], entry.job["args"]) == ("*/15 * * * *", ["-a"])
    assert "has no meaning here" in entry.notes[0]


def test_line_ends_of_windows_are_no_part_of_a_command() -> None:
    assert [job["args"] for job in read_crontab("0 1 * * * a\r\n0 2 * * * b\r\n").jobs] == [["a"], ["b"]]


@pytest.mark.parametrize(
    ("alias", "crontab"),
    [("@daily", "0 0 * * *"), ("@midnight", "0 0 * * *"), ("@hourly", "0 * * * *"), ("@weekly", "0 0 * * 0"),
     ("@monthly", "0 0 1 * *"), ("@yearly", "0 0 1 1 *"), ("@annually", "0 0 1 1 *"), ("@Daily", "0 0 * * *")],
)  # fmt: skip
def test_aliases_become_their_five_fields(alias: str, crontab: str) -> None:
    assert only(f"{alias} run\n")["trigger"]["crontab"] == crontab


@pytest.mark.parametrize("line", ["@reboot start", "@Reboot start"])
def test_a_start_at_boot_is_left_out_with_the_reason(line: str) -> None:
    (entry,) = read_crontab(line + "\n").entries
    assert entry.outcome == "left out"
    assert "service manager" in entry.problem


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("@fortnightly run", "is not a schedule"),
        ("* * * * *", "is not a crontab line"),
        ("hello", "is not a crontab line"),
    ],
)
def test_a_line_that_cron_refuses_is_invalid(line: str, reason: str) -> None:
    (entry,) = read_crontab(line + "\n").entries
    assert entry.outcome == "invalid"
    assert reason in entry.problem


def test_a_system_line_without_a_command_is_invalid() -> None:
    (entry,) = read_crontab("* * * * * root\n", system=True).entries
    assert entry.outcome == "invalid"
    assert "has no command" in entry.problem


def test_each_job_has_an_id_of_its_own() -> None:
    jobs = read_crontab("0 1 * * * /a/run.sh\n0 2 * * * /b/run.sh\n0 3 * * * 1 2\n0 4 * * * ÄÖ\n").jobs
    assert [job["id"] for job in jobs] == ["run.sh", "run.sh-2", "command", "command-2"]


def test_entries_say_where_they_stand() -> None:
    assert [entry.source for entry in read_crontab("# x\n\n0 1 * * * a\n0 2 * * * b\n").entries] == ["line 3", "line 4"]


# --- the threads that it takes ---------------------------------------------------------------------------------------


def said_of_threads(text: str) -> str:
    return next((note for note in read_crontab(text).notes if "SCHEDULER_THREADS" in note), "")


def test_the_report_says_how_many_threads_commands_of_one_minute_need() -> None:
    said = said_of_threads("*/5 * * * * a\n0 2 * * * b\n0 2-4 * * * c\n30 2 * * * d\n")
    assert "up to 3 of these commands start at 02:00" in said
    assert "SCHEDULER_THREADS=3" in said


def test_commands_of_different_minutes_need_no_word_about_threads() -> None:
    assert said_of_threads("0 1 * * * a\n0 2 * * * b\n") == ""


def test_the_days_of_commands_do_not_count() -> None:
    assert "up to 2" in said_of_threads("0 1 * * 1 a\n0 1 1 * * b\n")


def test_a_line_with_a_wrong_field_counts_for_nothing() -> None:
    assert said_of_threads("0 1 * * * a\n0 99 * * * b\n") == ""
