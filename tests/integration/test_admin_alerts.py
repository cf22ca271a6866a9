"""Alerts in the admin: rules and channels are checked, incidents acknowledged, messages sent again."""

from __future__ import annotations

from typing import Any

import pytest

from jobs.alerts import outbox
from jobs.models import AlertRule, Channel, Delivery, Incident
from tests.fakes import NOW, make_job

from .admin_support import Admin, admin_fixture, at_noon_fixture, cell, inputs, messages, problems  # noqa: F401

RULES = "/admin/cronzimus/alertrule/"
CHANNELS = "/admin/cronzimus/channel/"
INCIDENTS = "/admin/cronzimus/incident/"
DELIVERIES = "/admin/cronzimus/delivery/"


@pytest.fixture
def channel(db: None) -> Channel:
    return Channel.objects.create(name="mail", kind="email", target="ops@example.com")


def rule(channel: Channel, **changes: Any) -> dict[str, Any]:
    return {"name": "r", "enabled": "on", "events": ["failure"], "after": 1, "channels": [channel.pk], **changes}


def incident(**fields: Any) -> Incident:
    given = {"job_id": "a", "kind": "failure", "opened_at": NOW, "last_at": NOW, "error": "ValueError: no", **fields}
    return Incident.objects.create(**given)


def test_a_rule_is_made_and_listed(admin: Admin, channel: Channel) -> None:
    admin.send(f"{RULES}add/", **rule(channel, events=["failure", "recovery"]))
    page = admin.read(RULES)
    assert cell(page, "about") == "all jobs"
    assert cell(page, "told_of") == "failure, recovery"
    assert cell(page, "channel_names") == "mail"
    assert AlertRule.objects.get().events == ["failure", "recovery"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"events": ["deadline"]}, "deadline"),
        ({"events": ["too_long"]}, "too_long_seconds"),
        ({"events": []}, "events"),
        ({"after": 0}, "after"),
        ({"too_long_factor": "0.5"}, "too_long_factor"),
        ({"quiet_from": "22:00"}, "quiet_until"),
        ({"timezone": "Mars/Phobos"}, "timezone"),
        ({"timezone": "../etc/passwd"}, "timezone"),
        ({"channels": []}, "channels"),
        ({"name": ""}, "name"),
        ({"job": "job", "tag": "x"}, "tag"),
    ],
)
def test_a_wrong_rule_is_refused_beside_its_field(
    admin: Admin, channel: Channel, changes: dict[str, Any], field: str
) -> None:
    make_job()
    assert field in problems(admin.send(f"{RULES}add/", **rule(channel, **changes)))
    assert not AlertRule.objects.exists()


@pytest.mark.parametrize(
    ("kind", "target", "good"),
    [
        ("email", "a@example.com, b@example.com", True),
        ("email", "a@example.com nobody", False),
        ("webhook", "https://hooks.example.com/x", True),
        ("webhook", "hooks.example.com", False),
        ("webhook", "https://user:secret@example.com/", False),
        ("apprise", "slack://a/b/c", True),
        ("apprise", "slack", False),
    ],
)
def test_the_target_of_a_channel_fits_its_kind(admin: Admin, kind: str, target: str, good: bool) -> None:
    response = admin.send(f"{CHANNELS}add/", name="c", kind=kind, target=target, enabled="on")
    assert Channel.objects.exists() is good
    if not good:
        assert "target" in problems(response)


def test_a_secret_is_never_shown_and_stays_when_none_is_given(admin: Admin) -> None:
    made = Channel.objects.create(name="h", kind="webhook", target="https://example.com/", secret="whsec_YWJj")
    path = f"{CHANNELS}{made.pk}/change/"
    assert "YWJj" not in admin.read(path)
    admin.save(path, name="renamed")
    made.refresh_from_db()
    assert (made.name, made.secret) == ("renamed", "whsec_YWJj")


def test_a_secret_that_is_not_base64_is_refused(admin: Admin) -> None:
    response = admin.send(f"{CHANNELS}add/", name="c", kind="webhook", target="https://example.com/", secret="***")
    assert "secret" in problems(response)


def test_a_test_is_put_into_the_outbox(admin: Admin, channel: Channel) -> None:
    response = admin.send(CHANNELS, action="send_test", index=0, _selected_action=[channel.pk])
    assert Delivery.objects.get().reason == "test"
    assert "is queued" in messages(response)[0]


def test_incidents_are_listed_and_acknowledged(admin: Admin) -> None:
    one = incident()
    page = admin.read(INCIDENTS)
    assert (cell(page, "about"), cell(page, "error_line")) == ("a", "ValueError: no")
    admin.send(INCIDENTS, action="acknowledge", index=0, _selected_action=[one.pk])
    one.refresh_from_db()
    assert (one.state, one.acknowledged_by) == ("acknowledged", "root")


def test_an_incident_that_is_over_is_not_acknowledged(admin: Admin) -> None:
    one = incident(state="recovered", recovered_at=NOW)
    response = admin.send(INCIDENTS, action="acknowledge", index=0, _selected_action=[one.pk])
    assert "no open incident" in messages(response)[0]


def test_who_only_sees_incidents_cannot_acknowledge_them(at_noon: Any) -> None:
    viewer = Admin("view_incident")
    one = incident()
    assert 'value="acknowledge"' not in viewer.read(INCIDENTS)
    assert viewer.send(INCIDENTS, action="acknowledge", index=0, _selected_action=[one.pk]).status_code == 403
    one.refresh_from_db()
    assert one.state == "open"


def test_a_delivery_is_shown_and_sent_again(admin: Admin, channel: Channel) -> None:
    delivery = outbox.put_test(channel, now=NOW)
    assert "This is a test" in admin.read(f"{DELIVERIES}{delivery.pk}/change/")
    admin.send(DELIVERIES, action="send_again", index=0, _selected_action=[delivery.pk])
    assert Delivery.objects.count() == 2
