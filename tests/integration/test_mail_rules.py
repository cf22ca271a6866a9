"""Alert rules in files: who is mailed about the jobs with a tag. They are applied with the jobs, or nothing is."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from jobs.core.exceptions import InvalidRequest
from jobs.models import AlertRule, AuditEvent, Channel, Job
from jobs.transfer import sync
from jobs.transfer.crontab import read_crontab
from jobs.transfer.mail_rules import compare
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
        ({"tag": None}, "tag"), ({"events": []}, "events"), ({"events": ["deadline"]}, "events"),
        ({"events": [["failure"]]}, "events"), ({"events": "failure"}, "events"), ({"email": "root"}, "email"),
        ({"email": ""}, "email"), ({"email": ["a@example.com"]}, "email"), ({"mail": "a@example.com"}, "mail"),
    ],
)  # fmt: skip
def test_a_wrong_rule_keeps_everything_out_and_names_the_field(wrong: dict[str, Any], field: str) -> None:
    job = {"id": "a", "func": "tests:record", "trigger": {"type": "interval", "hours": 1}}
    with pytest.raises(InvalidRequest) as caught:
        sync.apply([job], now=NOW, alerts=[RULE | wrong])
    assert [name.rpartition(".")[2] for name in caught.value.fields] == [field]
    assert not AlertRule.objects.exists()
    assert not Job.objects.exists()


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
