"""The decisions when to notify people of an incident."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from jobs.alerts.channels import signature
from jobs.core.alerts import (
    BACKOFF_SECONDS,
    MOST_ERRORS,
    Notified,
    Reason,
    deadline_on,
    fingerprint_of,
    next_attempt,
    quiet_until,
    reason_to_notify,
)

NOW = datetime(2027, 3, 1, 12, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


def reason(
    count: int = 1, after: int = 1, last: Notified | None = None, print_: str = "a", ack: bool = False
) -> Reason | None:
    return reason_to_notify(count=count, after=after, fingerprint=print_, last=last, acknowledged=ack, now=NOW)


def test_the_first_failure_is_told() -> None:
    assert reason() is Reason.OPENED


@pytest.mark.parametrize(("count", "told"), [(1, None), (2, None), (3, Reason.OPENED), (4, Reason.OPENED)])
def test_a_rule_may_wait_for_several_failures_in_a_row(count: int, told: Reason | None) -> None:
    assert reason(count=count, after=3) is told


def test_the_same_error_is_told_once() -> None:
    assert reason(count=9, last=Notified(NOW - timedelta(hours=1), ("a",))) is None


def test_another_error_is_told_again() -> None:
    assert reason(count=9, last=Notified(NOW - timedelta(hours=1), ("b",))) is Reason.CHANGED


@pytest.mark.parametrize(("hours", "told"), [(23, None), (24, Reason.REPEATED), (50, Reason.REPEATED)])
def test_an_open_incident_is_repeated_after_a_day(hours: int, told: Reason | None) -> None:
    assert reason(last=Notified(NOW - timedelta(hours=hours), ("a",))) is told


def test_an_error_that_comes_back_is_not_told_again() -> None:
    assert reason(count=9, last=Notified(NOW - timedelta(hours=1), ("a", "b"))) is None


def test_an_error_that_is_another_one_each_time_is_told_only_so_often() -> None:
    last = Notified(NOW - timedelta(hours=1), tuple(f"error {number}" for number in range(MOST_ERRORS)))
    assert reason(count=99, last=last) is None
    assert reason(count=99, last=last._replace(at=NOW - timedelta(days=1))) is Reason.REPEATED


def test_a_repetition_begins_a_new_list_of_the_errors_that_were_told() -> None:
    first = Notified.after(None, Reason.OPENED, "a", NOW)
    both = Notified.after(first, Reason.CHANGED, "b", NOW)
    assert both.fingerprints == ("a", "b")
    assert Notified.after(both, Reason.REPEATED, "b", NOW).fingerprints == ("b",)


def test_an_acknowledged_incident_is_not_repeated() -> None:
    assert reason(last=Notified(NOW - timedelta(days=2), ("a",)), ack=True) is None


def test_an_acknowledged_incident_with_another_error_is_told() -> None:
    assert reason(last=Notified(NOW - timedelta(hours=1), ("b",)), ack=True) is Reason.CHANGED


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ValueError: 5 is too much", "ValueError: 17 is too much"),
        ("KeyError: 'a'", "KeyError: 'b'"),
        ("OSError: object at 0x7f01", "OSError: object at 0x7fff"),
        ("X: 123e4567-e89b-12d3-a456-426614174000", "X: 00000000-e89b-12d3-a456-426614174000"),
        ("ValueError: a\nsecond line", "ValueError: a\nother line"),
    ],
)
def test_errors_that_differ_in_values_alone_have_one_fingerprint(one: str, other: str) -> None:
    assert fingerprint_of(one) == fingerprint_of(other)


def test_errors_of_other_types_have_other_fingerprints() -> None:
    assert fingerprint_of("ValueError: a") != fingerprint_of("TypeError: a")


def test_a_text_with_a_lone_surrogate_has_a_fingerprint() -> None:
    assert len(fingerprint_of("\ud800")) == 16


@pytest.mark.parametrize(
    ("start", "end", "until"),
    [
        (None, None, None),
        (time(13), time(13), None),
        (time(12), time(14), datetime(2027, 3, 1, 14, tzinfo=BERLIN)),
        (time(13), time(14), datetime(2027, 3, 1, 14, tzinfo=BERLIN)),
        (time(12), time(13), None),
        (time(22), time(7), None),
        (time(12), time(7), datetime(2027, 3, 2, 7, tzinfo=BERLIN)),
        (time(22), time(14), datetime(2027, 3, 1, 14, tzinfo=BERLIN)),
    ],
)
def test_quiet_hours_end_at_their_local_time(start: time | None, end: time | None, until: datetime | None) -> None:
    assert quiet_until(NOW, start, end, BERLIN) == until  # 13:00 in Berlin


def test_a_deadline_is_of_the_local_day() -> None:
    late = datetime(2027, 3, 1, 23, 30, tzinfo=UTC)
    start, deadline = deadline_on(late, time(6), BERLIN)
    assert start == datetime(2027, 3, 2, tzinfo=BERLIN)
    assert deadline == datetime(2027, 3, 2, 6, tzinfo=BERLIN)


def test_a_delivery_is_tried_again_with_longer_and_longer_waits_and_then_given_up() -> None:
    waits = [next_attempt(attempts, NOW) for attempts in range(1, len(BACKOFF_SECONDS) + 1)]
    assert [(at - NOW).total_seconds() for at in waits if at] == list(BACKOFF_SECONDS)
    assert next_attempt(len(BACKOFF_SECONDS) + 1, NOW) is None


def test_a_webhook_is_signed_as_standard_webhooks_has_it() -> None:
    # The vector of the specification's reference libraries.
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    now = datetime.fromtimestamp(1614265330, UTC)
    headers = signature("msg_p5jXN8AQM9LWM0D4loKWxJek", now, b'{"test": 2432232314}', [secret])
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert headers["webhook-timestamp"] == "1614265330"


def test_the_previous_secret_signs_too() -> None:
    signed = signature("m", NOW, b"{}", ["whsec_YWE=", "whsec_YmI="])["webhook-signature"]
    assert len(signed.split()) == 2
