"""Alert rules in files: who is told of which jobs. They are applied with the jobs, or nothing is."""

from __future__ import annotations

from datetime import time, timedelta
from typing import Any

import pytest

from jobs import services
from jobs.core.exceptions import InvalidRequest
from jobs.models import AlertRule, AuditEvent, Channel, Job
from jobs.transfer import sync
from jobs.transfer.alert_rules import compare, definitions_of_rules, stored_rules
from jobs.transfer.crontab import read_crontab
from tests.fakes import NOW

pytestmark = pytest.mark.django_db

RULE: dict[str, Any] = {"name": "Mail", "tag": "shop", "events": ["failure"], "email": "a@example.com,b@example.com"}


def kinds(changes: list[Any]) -> list[tuple[str, str, str]]:
    return [(change.what, change.kind, change.id) for change in changes]


def test_a_rule_is_made_with_a_channel_of_its_own() -> None:
    assert kinds(sync.apply([], now=NOW, alerts=[RULE])) == [("alert rule", "create", "Mail")]
    rule = AlertRule.objects.get()
    assert (rule.tag, rule.events, rule.enabled) == ("shop", ["failure"], True)
    (channel,) = rule.channels.all()
    assert (channel.name, channel.kind, channel.target) == ("Mail", Channel.EMAIL, "a@example.com, b@example.com")


def test_a_rule_that_is_applied_again_is_unchanged() -> None:
    sync.apply([], now=NOW, alerts=[RULE])
    assert kinds(sync.apply([], now=NOW, alerts=[RULE])) == [("alert rule", "unchanged", "Mail")]
    assert AuditEvent.objects.count() == 2


@pytest.mark.parametrize(
    ("field", "value", "before"),
    [("tag", "other", "shop"), ("events", ["lost"], ["failure"]),
     ("email", "c@example.com", "a@example.com, b@example.com")],
)  # fmt: skip
def test_a_changed_field_is_named_and_applied(field: str, value: Any, before: Any) -> None:
    sync.apply([], now=NOW, alerts=[RULE])
    (change,) = sync.apply([], now=NOW + timedelta(1), alerts=[RULE | {field: value}])
    assert (change.kind, change.fields) == ("change", {field: (before, value)})
    assert kinds(compare([RULE | {field: value}])) == [("alert rule", "unchanged", "Mail")]


def test_what_people_have_set_on_the_rule_stays() -> None:
    sync.apply([], now=NOW, alerts=[RULE])
    rule = AlertRule.objects.get()
    rule.channels.add(Channel.objects.create(name="Hook", kind=Channel.WEBHOOK, target="https://example.com"))
    AlertRule.objects.update(after=3)
    sync.apply([], now=NOW, alerts=[RULE | {"tag": "other"}])
    rule.refresh_from_db()
    assert (rule.after, rule.tag, rule.channels.count()) == (3, "other", 2)


def test_what_is_done_is_on_record_without_the_addresses_of_the_channel() -> None:
    sync.apply([], now=NOW, alerts=[RULE])
    events = {event.action: event.changes for event in AuditEvent.objects.all()}
    assert events["rule_added"]["tag"] == [None, "shop"]
    assert "example.com" not in str(events["channel_added"])


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": ""}, "name"), ({"name": 5}, "name"), ({"name": "x" * 101}, "name"), ({"tag": "a b"}, "tag"),
        ({"tag": None}, "tag"), ({"events": []}, "events"), ({"events": ["deadline"]}, "deadline"),
        ({"events": [["failure"]]}, "events"), ({"events": "failure"}, "events"), ({"email": "root"}, "email"),
        ({"email": ""}, "email"), ({"email": ["a@example.com"]}, "email"), ({"mail": "a@example.com"}, "mail"),
        ({"email": None}, "email"), ({"channels": ["Nope"]}, "channels"), ({"channels": "Nope"}, "channels"),
        ({"channels": [5]}, "channels"), ({"channels": ["Mail"]}, "channels"), ({"tag": "", "job": "nope"}, "job"),
        ({"tag": "", "job": 5}, "job"), ({"job": "a"}, "tag"), ({"after": 0}, "after"), ({"after": True}, "after"),
        ({"after": 40000}, "after"), ({"events": ["too_long"]}, "too_long_seconds"),
        ({"too_long_seconds": 0}, "too_long_seconds"), ({"too_long_factor": 0.5}, "too_long_factor"),
        ({"too_long_factor": float("nan")}, "too_long_factor"), ({"deadline": "25:00"}, "deadline"),
        ({"deadline": 540}, "deadline"), ({"deadline": "9"}, "deadline"), ({"deadline": "09:00+01:00"}, "deadline"),
        ({"quiet_from": "22:00"}, "quiet_until"), ({"timezone": "Mars"}, "timezone"), ({"timezone": 5}, "timezone"),
        ({"enabled": "yes"}, "enabled"),
    ],
)  # fmt: skip
def test_a_wrong_rule_keeps_everything_out_and_names_the_field(wrong: dict[str, Any], field: str) -> None:
    job = {"id": "a", "func": "tests:record", "trigger": {"type": "interval", "hours": 1}}
    with pytest.raises(InvalidRequest) as caught:
        sync.apply([job], now=NOW, alerts=[RULE | wrong])
    assert [name.rpartition(".")[2] for name in caught.value.fields] == [field]
    assert not AlertRule.objects.exists()
    assert not Job.objects.exists()


FULL: dict[str, Any] = {
    "name": "Shop", "enabled": False, "tag": "shop", "events": ["failure", "too_long", "deadline", "recovery"],
    "after": 3, "too_long_seconds": 60, "too_long_factor": 2.5, "deadline": "09:00", "quiet_from": "22:00",
    "quiet_until": "06:30", "timezone": "Europe/Berlin", "email": "a@example.com", "channels": ["Hook"],
}  # fmt: skip


def hook(name: str = "Hook") -> Channel:
    return Channel.objects.create(
        name=name, kind=Channel.WEBHOOK, target="https://example.com/path", secret="whsec_YQ=="
    )


def exported() -> list[dict[str, Any]]:
    return definitions_of_rules(stored_rules())


def test_a_rule_has_each_field_of_the_admin_and_is_exported_as_it_was() -> None:
    hook()
    sync.apply([], now=NOW, alerts=[FULL])
    rule = AlertRule.objects.get()
    assert (rule.deadline, rule.quiet_from, rule.after) == (time(9), time(22), 3)
    assert {channel.name: channel.kind for channel in rule.channels.all()} == {"Hook": "webhook", "Shop": "email"}
    assert exported() == [FULL]
    assert kinds(compare(exported())) == [("alert rule", "unchanged", "Shop")]


def test_an_export_has_no_target_and_no_secret_of_a_channel() -> None:
    hook()
    sync.apply([], now=NOW, alerts=[FULL])
    assert "example.com/path" not in str(exported())
    assert "whsec" not in str(exported())


def test_a_rule_with_channels_is_complete() -> None:
    hook()
    sync.apply([], now=NOW, alerts=[FULL])
    body = {"name": "Shop", "tag": "shop", "events": ["failure"], "channels": ["Hook"]}
    (change,) = sync.apply([], now=NOW, alerts=[body])
    assert change.fields["after"] == (3, 1)
    assert change.fields["email"] == ("a@example.com", None)
    assert exported() == [body]


def test_a_channel_that_people_added_is_taken_away_by_a_rule_with_channels() -> None:
    hook()
    sync.apply([], now=NOW, alerts=[RULE | {"channels": []}])
    AlertRule.objects.get().channels.add(Channel.objects.get(name="Hook"))
    (change,) = sync.apply([], now=NOW, alerts=[RULE | {"channels": []}])
    assert change.fields == {"channels": (["Hook"], [])}


def test_a_rule_may_be_about_a_job_of_the_same_file() -> None:
    job = {"id": "a", "func": "tests:record", "trigger": {"type": "interval", "hours": 1}}
    rule = {"name": "One", "job": "a", "events": ["failure"], "email": "a@example.com"}
    sync.apply([job], now=NOW, alerts=[rule])
    assert AlertRule.objects.get().job_id == "a"
    assert exported() == [{"name": "One", "job": "a", "events": ["failure"], "email": "a@example.com", "channels": []}]


def test_a_rule_of_a_job_becomes_one_of_a_tag() -> None:
    sync.apply([], now=NOW, alerts=[RULE])
    services.add_job({"id": "a", "func": "tests:record", "trigger": "interval", "hours": 1}, now=NOW)
    AlertRule.objects.update(job_id="a", tag="")
    sync.apply([], now=NOW, alerts=[RULE])
    rule = AlertRule.objects.get()
    assert (rule.job_id, rule.tag) == (None, "shop")


def test_a_rule_without_job_and_tag_is_about_all_jobs() -> None:
    sync.apply([], now=NOW, alerts=[{"name": "All", "events": ["scheduler"], "email": "a@example.com"}])
    rule = AlertRule.objects.get()
    assert (rule.job_id, rule.tag, rule.events) == (None, "", ["scheduler"])


def test_a_rule_whose_channels_are_gone_does_not_keep_an_export_from_being_applied() -> None:
    AlertRule.objects.create(name="Alone", events=["failure"])
    assert kinds(compare(exported())) == [("alert rule", "unchanged", "Alone")]


def test_a_rule_about_a_job_that_has_been_removed_is_not_exported() -> None:
    services.add_job({"id": "a", "func": "tests:record", "trigger": "interval", "hours": 1}, now=NOW)
    AlertRule.objects.create(name="One", events=["failure"], job_id="a")
    assert len(exported()) == 1
    services.remove_job("a", now=NOW)
    assert exported() == []


def test_all_errors_of_a_rule_are_named_at_once() -> None:
    (change,) = compare([{"name": "x", "events": ["no"], "after": 0, "deadline": "soon", "channels": ["Nope"]}])
    assert set(change.problems) == {"events", "after", "deadline", "channels"}


def test_many_rules_are_compared_with_few_statements(statements: Any) -> None:
    hook()
    bodies = [FULL | {"name": f"r{number}"} for number in range(30)]
    sync.apply([], now=NOW, alerts=bodies)
    with statements() as seen:
        compare(bodies)
    assert len(seen) <= 5


def test_a_name_that_stands_twice_is_refused() -> None:
    assert [change.kind for change in compare([RULE, RULE])] == ["invalid", "invalid"]


def test_a_channel_of_another_kind_is_not_overwritten() -> None:
    Channel.objects.create(name="Mail", kind=Channel.WEBHOOK, target="https://example.com")
    (change,) = compare([RULE])
    assert "a channel of this name exists" in change.problems["name"]


def test_the_rule_of_a_crontab_can_be_applied() -> None:
    imported = read_crontab("MAILTO=ops@example.com\n0 1 * * * a\n")
    sync.apply([], now=NOW, alerts=imported.alerts)
    assert AlertRule.objects.get().tag == imported.jobs[0]["tags"][0]
