"""Alerts in the admin: rules and channels are checked, incidents acknowledged, messages sent again."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from jobs.alerts import outbox
from jobs.core.alerts import Reason
from jobs.models import AlertRule, AuditEvent, Channel, Delivery, Incident
from tests.fakes import NOW, make_job, make_run

from .admin_support import Admin, admin_fixture, at_noon_fixture, cell, ids, messages, problems, text  # noqa: F401

pytestmark = pytest.mark.any_database

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


def test_a_rule_that_is_made_counts_open_incidents_as_sent(admin: Admin, channel: Channel) -> None:
    open_one, over = incident(fingerprint="f"), incident(state="recovered", job_id="b")
    admin.send(f"{RULES}add/", **rule(channel))
    key = str(AlertRule.objects.get().pk)
    open_one.refresh_from_db()
    over.refresh_from_db()
    assert open_one.notified[key]["fingerprints"] == ["f"]
    assert not over.notified
    assert not Delivery.objects.exists()


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
        ("webhook", "http://10.0.0.1/x", False),
        ("apprise", "ntfy://example.com/topic", True),
        ("apprise", "slack", False),
        ("apprise", "nobody://example.com", False),
    ],
)
def test_the_target_of_a_channel_fits_its_kind(admin: Admin, kind: str, target: str, good: bool) -> None:
    response = admin.send(f"{CHANNELS}add/", name="c", kind=kind, target=target, enabled="on")
    assert Channel.objects.exists() is good
    if not good:
        assert "target" in problems(response)


def test_a_channel_through_apprise_needs_apprise(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    response = admin.send(f"{CHANNELS}add/", name="c", kind="apprise", target="ntfy://example.com/topic")
    assert "pip install apprise" in problems(response)["target"][0]
    assert not Channel.objects.exists()


def test_a_secret_is_never_shown_and_stays_when_none_is_given(admin: Admin) -> None:
    made = Channel.objects.create(name="h", kind="webhook", target="https://example.com/", secret="whsec_YWJj")
    path = f"{CHANNELS}{made.pk}/change/"
    assert "YWJj" not in admin.read(path)
    admin.save(path, name="renamed")
    made.refresh_from_db()
    assert (made.name, made.secret) == ("renamed", "whsec_YWJj")


SIGNED = {"name": "h", "kind": "webhook", "target": "https://example.com/", "enabled": "on"}


def signed() -> Channel:
    """Write a channel with two secrets."""
    return Channel.objects.create(
        name="h", kind="webhook", target=SIGNED["target"], secret="whsec_YWJj", previous_secret="whsec_ZGVm"
    )


def test_a_stored_secret_can_be_removed(admin: Admin) -> None:
    made = signed()
    page = admin.read(f"{CHANNELS}{made.pk}/change/")
    assert 'name="secret-clear"' in page
    assert 'name="previous_secret-clear"' in page
    admin.send(f"{CHANNELS}{made.pk}/change/", **SIGNED, **{"previous_secret-clear": "on"})
    made.refresh_from_db()
    assert (made.secret, made.previous_secret) == ("whsec_YWJj", "")
    assert AuditEvent.objects.latest("pk").changes.keys() == {"previous_secret"}
    assert 'name="previous_secret-clear"' not in admin.read(f"{CHANNELS}{made.pk}/change/")


def test_a_secret_is_not_replaced_and_removed_at_once(admin: Admin) -> None:
    made = signed()
    response = admin.send(f"{CHANNELS}{made.pk}/change/", **SIGNED, secret="whsec_AAAA", **{"secret-clear": "on"})
    assert list(problems(response)) == ["secret"]
    assert 'name="secret-clear"' in response.content.decode()
    made.refresh_from_db()
    assert made.secret == "whsec_YWJj"


def test_a_secret_that_is_not_base64_is_refused(admin: Admin) -> None:
    response = admin.send(f"{CHANNELS}add/", name="c", kind="webhook", target="https://example.com/", secret="***")
    assert "secret" in problems(response)


def test_a_test_is_put_into_the_outbox(admin: Admin, channel: Channel) -> None:
    for response in (
        admin.send(f"{CHANNELS}{channel.pk}/test/"),
        admin.send(CHANNELS, action="test", index=0, _selected_action=[channel.pk]),
    ):
        assert messages(response) == ["A test is queued: mail; Deliveries shows whether it arrived."]
    assert [one.reason for one in Delivery.objects.all()] == ["test", "test"]
    assert cell(admin.read(CHANNELS), "last") == "pending now"


def test_incidents_are_listed_and_acknowledged(admin: Admin) -> None:
    one = incident()
    page = admin.read(INCIDENTS)
    assert (cell(page, "about"), cell(page, "kind")) == ("a ValueError: no", "its runs fail")
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
    assert "cknowledge<" not in viewer.read(INCIDENTS)
    assert "cknowledge<" not in viewer.read(f"{INCIDENTS}{one.pk}/change/")
    assert viewer.send(f"{INCIDENTS}{one.pk}/acknowledge/").status_code == 403
    assert viewer.send(INCIDENTS, action="acknowledge", index=0, _selected_action=[one.pk]).status_code == 403
    one.refresh_from_db()
    assert one.state == "open"


def test_a_delivery_is_shown_and_sent_again(admin: Admin, channel: Channel) -> None:
    delivery = outbox.put_test(channel, now=NOW)
    assert "This is a test" in admin.read(f"{DELIVERIES}{delivery.pk}/change/")
    admin.send(DELIVERIES, action="again", index=0, _selected_action=[delivery.pk])
    admin.send(f"{DELIVERIES}{delivery.pk}/again/")
    assert Delivery.objects.count() == 3


def test_the_page_of_an_incident_says_who_was_told_and_leads_to_the_last_run(admin: Admin, channel: Channel) -> None:
    run = make_run(job_id="a", status="failed")
    one = incident(last_run=run.pk, count=3)
    AlertRule.objects.create(name="all", events=["failure"]).channels.add(channel)
    outbox.put([outbox.Message(one, AlertRule.objects.get(), Reason.OPENED)], NOW)
    page = admin.read(f"{INCIDENTS}{one.pk}/change/")
    assert "mail · opened pending" in text(page)
    assert f"/admin/cronzimus/run/{run.pk}/change/" in page
    assert "ValueError: no" in page


def test_who_may_not_see_messages_is_not_told_who_got_them(at_noon: Any) -> None:
    one = incident()
    assert "Messages" not in Admin("view_incident").read(f"{INCIDENTS}{one.pk}/change/")


@pytest.mark.parametrize(("query", "shown"), [("state=open", ["a"]), ("state=recovered", []), ("kind=not_run", [])])
def test_incidents_are_narrowed(admin: Admin, query: str, shown: list[str]) -> None:
    incident()
    page = admin.read(f"{INCIDENTS}?{query}")
    assert [cell(page, "about")[:1] for _ in ids(page)] == shown
    assert ("Nothing matches" in page) == (not shown)


def test_the_tabs_lead_to_the_lists_that_one_may_see(at_noon: Any) -> None:
    assert "/admin/cronzimus/channel/" not in Admin("view_incident").read(INCIDENTS)
    page = Admin("view_channel", "view_delivery", name="bob").read(CHANNELS)
    assert f'href="{DELIVERIES}"' in page
    assert f'href="{RULES}"' not in page


def test_the_list_of_channels_shows_no_secret(admin: Admin) -> None:
    Channel.objects.create(name="h", kind="webhook", target="https://example.com/hook?key=abc", secret="whsec_YWJj")
    page = admin.read(CHANNELS)
    assert cell(page, "name") == "h https://example.com"
    assert not [secret for secret in ("abc", "YWJj") if secret in page]


@pytest.mark.parametrize("page", [RULES, CHANNELS, DELIVERIES])
def test_more_rows_cost_no_more_queries(admin: Admin, channel: Channel, statements: Any, page: str) -> None:
    def fill() -> None:
        for number in range(Channel.objects.count(), Channel.objects.count() + 5):
            made = Channel.objects.create(name=f"c{number}", kind="email", target="a@example.com")
            rule = AlertRule.objects.create(name=f"r{number}", events=["failure"])
            rule.channels.add(made, channel)
            outbox.put_test(made, now=NOW)

    counts = []
    for _ in range(2):
        fill()
        with statements() as made:
            admin.read(page)
        counts.append(len(made))
    assert counts[0] == counts[1] <= 12


def test_deleting_a_channel_says_which_rules_lose_it(admin: Admin, channel: Channel) -> None:
    AlertRule.objects.create(name="all", events=["failure"]).channels.add(channel)
    path = f"{CHANNELS}{channel.pk}/delete/"
    assert "Rules that lose it: all." in admin.read(path)
    admin.send(path, post="yes")
    assert not Channel.objects.exists()


@pytest.mark.parametrize("path", [f"{CHANNELS}%s/test/", f"{DELIVERIES}%s/again/", f"{INCIDENTS}%s/acknowledge/"])
@pytest.mark.parametrize("key", ["99", "abc", "9" * 30])
def test_an_action_with_a_row_that_is_gone_is_refused(admin: Admin, path: str, key: str) -> None:
    (said,) = messages(admin.send(path % key))
    assert "not possible" in said
    assert key in said


@pytest.mark.parametrize(("model", "path"), [("alertrule", RULES), ("channel", CHANNELS)])
def test_who_may_only_look_has_no_form(at_noon: Any, channel: Channel, model: str, path: str) -> None:
    row = AlertRule.objects.create(name="r", events=[]) if model == "alertrule" else channel
    viewer = Admin(f"view_{model}")
    assert f"{row.pk}/change/" not in viewer.read(path)
    assert viewer.client.get(f"{path}{row.pk}/change/").status_code == 403


def test_a_secret_that_stays_is_no_change(admin: Admin) -> None:
    hook = Channel.objects.create(name="h", kind="webhook", target="https://example.com/x", secret="whsec_AAAA")
    given = {"name": "hook", "kind": "webhook", "target": hook.target, "enabled": "on", "previous_secret": ""}
    for secret, changed in (("", {"name"}), ("whsec_BBBB", {"secret"})):
        admin.send(f"{CHANNELS}{hook.pk}/change/", **given, secret=secret)
        event = AuditEvent.objects.latest("pk")
        assert (event.action, set(event.changes)) == ("channel_updated", changed)
