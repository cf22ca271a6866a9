"""Deliveries: each message goes out at least once, with a backoff, and each attempt is recorded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest
from django.core import mail
from django.core.mail.backends.smtp import EmailBackend

from jobs.alerts import channels, outbox
from jobs.alerts.channels import event_of
from jobs.alerts.delivery import Deliverer
from jobs.core.alerts import BACKOFF_SECONDS, DeliveryState
from jobs.models import Channel, Delivery
from jobs.scheduler.background import background_tasks
from tests.fakes import FakeClock, make_scheduler

pytestmark = pytest.mark.django_db


class Receiver(HTTPServer):
    """Takes webhooks, and answers with `status`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = 200
        self.taken: list[tuple[dict[str, str], Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.taken.append(({name.lower(): value for name, value in self.headers.items()}, json.loads(body)))
        self.send_response(self.server.status)
        self.send_header("content-length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        self.server.taken.append(({}, self.path))
        self.send_response(self.server.status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def loopback(settings: Any) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"JOB_HTTP_ALLOWED_NETWORKS": ["127.0.0.0/8"]}


def webhook(url: str, **fields: Any) -> Channel:
    return Channel.objects.create(name="hook", kind="webhook", target=url, **fields)


def test_a_webhook_is_posted_as_a_cloud_event(receiver: Receiver, clock: FakeClock) -> None:
    outbox.put_test(webhook(receiver.url), now=clock.now())
    assert Deliverer(clock).deliver_due() == 1
    ((headers, event),) = receiver.taken
    assert headers["content-type"] == "application/cloudevents+json"
    assert (event["specversion"], event["type"]) == ("1.0", "cronzimus.incident.test")
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.attempts, delivery.response) == (DeliveryState.DELIVERED, 1, "200 OK")


def test_apprise_carries_a_message_to_its_services(receiver: Receiver, clock: FakeClock) -> None:
    outbox.put_test(chat(receiver), now=clock.now())
    assert Deliverer(clock).deliver_due() == 1
    ((_, message),) = receiver.taken
    assert message["title"] == "Cronzimus"
    assert "test" in message["message"]


def test_what_apprise_could_not_send_is_tried_again(receiver: Receiver, clock: FakeClock) -> None:
    receiver.status = 500
    outbox.put_test(chat(receiver), now=clock.now())
    Deliverer(clock).deliver_due()
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.attempts) == (DeliveryState.PENDING, 1)
    assert delivery.response == "Apprise could not notify; the log of this scheduler says why"


def chat(receiver: Receiver) -> Channel:
    """Write a channel that Apprise sends to `receiver`."""
    return Channel.objects.create(name="chat", kind="apprise", target=f"json://127.0.0.1:{receiver.server_port}/hook")


def test_a_webhook_with_a_secret_is_signed(receiver: Receiver, clock: FakeClock) -> None:
    outbox.put_test(webhook(receiver.url, secret="whsec_YWJj", previous_secret="whsec_ZGVm"), now=clock.now())
    Deliverer(clock).deliver_due()
    ((headers, event),) = receiver.taken
    assert headers["webhook-id"] == event["id"]
    assert len(headers["webhook-signature"].split()) == 2


def test_a_refused_message_is_tried_again_after_a_while(receiver: Receiver, clock: FakeClock) -> None:
    receiver.status = 503
    outbox.put_test(webhook(receiver.url), now=clock.now())
    deliverer = Deliverer(clock)
    deliverer.deliver_due()
    assert deliverer.deliver_due() == 0
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.attempts) == (DeliveryState.PENDING, 1)
    assert "503" in delivery.response
    receiver.status = 200
    clock.advance(BACKOFF_SECONDS[0] + 1)
    assert deliverer.deliver_due() == 1
    assert Delivery.objects.get().state == DeliveryState.DELIVERED


def test_a_message_that_nobody_takes_is_given_up_at_last(receiver: Receiver, clock: FakeClock) -> None:
    receiver.status = 500
    outbox.put_test(webhook(receiver.url), now=clock.now())
    deliverer = Deliverer(clock)
    for _ in range(len(BACKOFF_SECONDS) + 1):
        assert deliverer.deliver_due() == 1
        clock.advance(13 * 3600)
    assert deliverer.deliver_due() == 0
    assert Delivery.objects.get().state == DeliveryState.FAILED


@pytest.mark.parametrize("target", ["http://10.0.0.1/", "http://[fe80::1]/", "ftp://example.com/", "nonsense"])
def test_an_address_that_may_not_be_reached_is_refused(target: str, clock: FakeClock) -> None:
    outbox.put_test(webhook(target), now=clock.now())
    Deliverer(clock).deliver_due()
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.attempts) == (DeliveryState.PENDING, 1)


def test_one_bad_channel_does_not_hold_up_the_others(receiver: Receiver, clock: FakeClock) -> None:
    outbox.put_test(webhook("nonsense"), now=clock.now())
    outbox.put_test(Channel.objects.create(name="good", kind="webhook", target=receiver.url), now=clock.now())
    Deliverer(clock).deliver_due()
    assert len(receiver.taken) == 1


def test_a_dead_receiver_with_many_messages_does_not_hold_up_the_others(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each attempt at the dead one takes seconds, and a round takes few messages."""
    dead, good = webhook("http://127.0.0.1:1/"), Channel.objects.create(name="good", kind="webhook", target="x")
    for channel in (*[dead] * 30, good):
        outbox.put_test(channel, now=clock.now())

    def send(delivery: Delivery, clock: FakeClock) -> str:
        if delivery.channel == good:
            return "200 OK"
        clock.advance(6)
        raise TimeoutError

    monkeypatch.setattr(channels, "send", send)
    deliverer = Deliverer(clock)
    deliverer.deliver_due()
    deliverer.deliver_due()
    assert Delivery.objects.get(channel=good).state == DeliveryState.DELIVERED
    assert sum(Delivery.objects.filter(channel=dead).values_list("attempts", flat=True)) == 1


def test_messages_that_wait_for_their_channel_go_out_as_soon_as_it_answers(
    receiver: Receiver, clock: FakeClock
) -> None:
    receiver.status, channel = 503, webhook(receiver.url)
    for _ in range(3):
        outbox.put_test(channel, now=clock.now())
    deliverer = Deliverer(clock)
    deliverer.deliver_due()
    assert len(receiver.taken) == 1
    receiver.status = 200
    clock.advance(BACKOFF_SECONDS[0] + 1)
    deliverer.deliver_due()
    assert Delivery.objects.filter(state=DeliveryState.DELIVERED).count() == 3


def about(**data: Any) -> Delivery:
    """Return a message about these, not saved."""
    return Delivery(payload={"id": "1", "data": {"text": "t", **data}})


@pytest.mark.parametrize(
    ("data", "path"),
    [
        ({"run": 7, "job": "a"}, "/admin/cronzimus/run/7/change/"),
        ({"run": None, "job": "a:b"}, "/admin/cronzimus/job/a_3Ab/change/"),
        ({"run": None, "job": None}, "/admin/cronzimus/scheduler/"),
    ],
)
def test_a_message_links_to_what_it_is_about_where_the_site_is_named(
    data: dict[str, Any], path: str, settings: Any
) -> None:
    assert "url" not in event_of(about(**data))["data"]
    settings.CRONZIMUS = settings.CRONZIMUS | {"SITE_URL": "https://jobs.example.com"}
    assert event_of(about(**data))["data"]["url"] == f"https://jobs.example.com{path}"


def test_a_mail_names_the_environment_and_has_the_link(clock: FakeClock, settings: Any, mailoutbox: Any) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"SITE_URL": "https://jobs.example.com", "CRONZIMUS_ENV": "staging"}
    outbox.put_test(Channel.objects.create(name="m", kind="email", target="a@example.com"), now=clock.now())
    Deliverer(clock).deliver_due()
    (mail,) = mailoutbox
    assert mail.subject == "[Cronzimus staging] This is a test of Cronzimus."
    assert "url: https://jobs.example.com/admin/" in mail.body


def test_a_redirect_is_not_followed_and_says_so(receiver: Receiver, clock: FakeClock) -> None:
    receiver.status = 302
    outbox.put_test(webhook(receiver.url), now=clock.now())
    Deliverer(clock).deliver_due()
    assert "302 Found: redirects are not followed" in Delivery.objects.get().response


@pytest.mark.parametrize("port", [1, None])
def test_the_path_of_a_target_is_neither_on_record_nor_in_the_log(
    receiver: Receiver, clock: FakeClock, port: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.status = 302
    url = "http://127.0.0.1:1" if port else receiver.url.rstrip("/")
    outbox.put_test(webhook(f"{url}/services/T0/geheim?key=geheim"), now=clock.now())
    Deliverer(clock).deliver_due()
    assert "geheim" not in Delivery.objects.get().response + caplog.text


def test_a_message_for_a_channel_that_was_switched_off_is_dropped(receiver: Receiver, clock: FakeClock) -> None:
    channel = webhook(receiver.url)
    outbox.put_again(outbox.put_test(channel, now=clock.now()), now=clock.now())
    Delivery.objects.order_by("id")[:1].get().delete()
    Delivery.objects.update(reason="opened")
    Channel.objects.update(enabled=False)
    Deliverer(clock).deliver_due()
    assert (Delivery.objects.get().state, receiver.taken) == (DeliveryState.DROPPED, [])


def test_a_test_of_a_channel_that_is_off_is_sent(receiver: Receiver, clock: FakeClock) -> None:
    outbox.put_test(webhook(receiver.url, enabled=False), now=clock.now())
    Deliverer(clock).deliver_due()
    assert len(receiver.taken) == 1


def test_a_delivery_that_waited_for_slow_ones_is_left_to_the_scheduler_that_has_taken_it(
    receiver: Receiver, clock: FakeClock
) -> None:
    outbox.put_test(webhook(receiver.url), now=clock.now())
    (mine,) = outbox.take(10, now=clock.now())
    clock.advance(61)
    (theirs,) = outbox.take(10, now=clock.now())
    assert not outbox.hold(mine, now=clock.now())
    assert outbox.hold(theirs, now=clock.now())


def mailbox() -> Channel:
    channel, _ = Channel.objects.get_or_create(name="m", kind="email", target="a@example.com")
    return channel


def test_a_mail_server_has_seconds_to_answer(clock: FakeClock, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[Any] = []

    def remember(backend: EmailBackend, messages: Any) -> int:
        limits.append(backend.timeout)
        return len(messages)

    monkeypatch.setattr(EmailBackend, "send_messages", remember)
    for settings.EMAIL_TIMEOUT in (None, 3):
        settings.EMAIL_BACKEND = f"{EmailBackend.__module__}.EmailBackend"
        outbox.put_test(mailbox(), now=clock.now())
        Deliverer(clock).deliver_due()
    assert limits == [10, 3]


def test_a_project_with_mailers_has_its_default_one(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Django 6.1 has the setting MAILERS, with which the settings EMAIL_* cannot be read."""
    sent: list[Any] = []
    default = SimpleNamespace(timeout=None, send_messages=lambda messages: sent.extend(messages) or len(messages))
    monkeypatch.setattr(mail, "mailers", SimpleNamespace(default=default), raising=False)
    monkeypatch.setattr(mail, "get_connection", lambda **options: pytest.fail("there is none"))
    delivery = outbox.put_test(mailbox(), now=clock.now())
    Deliverer(clock).deliver_due()
    delivery.refresh_from_db()
    assert (delivery.state, [one.to for one in sent], default.timeout) == (
        DeliveryState.DELIVERED,
        [["a@example.com"]],
        10,
    )


def test_a_mail_has_a_subject_of_one_line(clock: FakeClock, mailoutbox: Any) -> None:
    channel = Channel.objects.create(name="m", kind="email", target="a@example.com, b@example.com")
    delivery = outbox.put_test(channel, now=clock.now())
    delivery.payload["data"]["text"] = "one\nBcc: x@example.com"
    delivery.save()
    Deliverer(clock).deliver_due()
    (mail,) = mailoutbox
    assert mail.to == ["a@example.com", "b@example.com"]
    assert "\n" not in mail.subject


def test_a_delivery_that_a_dead_scheduler_took_is_due_again(clock: FakeClock) -> None:
    outbox.put_test(webhook("http://127.0.0.1:1/"), now=clock.now())
    assert len(outbox.take(10, now=clock.now())) == 1
    assert outbox.take(10, now=clock.now()) == []
    assert len(outbox.take(10, now=clock.now() + outbox.LEASE + timedelta(seconds=1))) == 1


@pytest.mark.django_db(transaction=True)
def test_a_look_at_an_empty_outbox_begins_no_transaction(clock: FakeClock, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1) as asked:
        assert outbox.take(10, now=clock.now()) == []
    assert asked.captured_queries[0]["sql"].startswith("SELECT")


def test_slow_receivers_leave_the_rest_of_a_batch_for_later(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that delivers also advances backfills, and watches deadlines."""
    channel = webhook("http://127.0.0.1:1/")
    for _ in range(5):
        outbox.put_test(channel, now=clock.now())
    monkeypatch.setattr(channels, "send", lambda delivery, clock: clock.advance(4) or "200 OK")
    assert Deliverer(clock).deliver_due() == 5
    assert Delivery.objects.filter(state=DeliveryState.DELIVERED).count() == 2
    assert len(outbox.take(10, now=clock.now())) == 3


def test_a_delivery_can_be_sent_again(clock: FakeClock, receiver: Receiver) -> None:
    first = outbox.put_test(webhook(receiver.url), now=clock.now())
    outbox.put_again(first, now=clock.now())
    Deliverer(clock).deliver_due()
    (_, one), (_, two) = receiver.taken
    assert one["id"] == two["id"]


def test_the_dead_mans_switch_is_pinged_once_a_minute(clock: FakeClock, receiver: Receiver, settings: Any) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"ALERT_PING_URL": receiver.url}
    deliverer = Deliverer(clock)
    deliverer.ping()
    deliverer.ping()
    assert len(receiver.taken) == 1
    clock.advance(61)
    deliverer.ping()
    assert len(receiver.taken) == 2


@pytest.mark.parametrize(("lease", "pings"), [(10, 1), (-1, 0), (None, 0)])
def test_the_dead_mans_switch_is_pinged_only_while_a_scheduler_holds_its_lease(
    clock: FakeClock, receiver: Receiver, settings: Any, lease: int | None, pings: int
) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"ALERT_PING_URL": receiver.url}
    if lease is not None:
        make_scheduler(lease_until=clock.now() + timedelta(seconds=lease))
    (alerts,) = [task for task in background_tasks(clock) if task.name == "alerts"]
    for _ in range(3):
        alerts.run()
    assert len(receiver.taken) == pings


def test_the_dead_mans_switch_is_pinged_again_as_soon_as_jobs_run_again(
    clock: FakeClock, receiver: Receiver, settings: Any
) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"ALERT_PING_URL": receiver.url}
    deliverer = Deliverer(clock)
    deliverer.ping_while_jobs_run()
    make_scheduler(lease_until=clock.now() + timedelta(seconds=10))
    deliverer.ping_while_jobs_run()
    assert len(receiver.taken) == 1


def test_a_ping_that_fails_is_only_logged(clock: FakeClock, settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"ALERT_PING_URL": "http://127.0.0.1:1/"}
    Deliverer(clock).ping()
    assert [record.action for record in caplog.records] == ["alert_ping_failed"]
