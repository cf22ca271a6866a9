"""Open, count and recover incidents as runs end, and write the messages about them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.models import Exists, F, OuterRef

from ..core.alerts import AlertEvent, IncidentKind, IncidentState, Notified, Reason, fingerprint_of, reason_to_notify
from ..core.exceptions import InvalidRequest
from ..core.runs import DID_NOT_RUN, RunStatus, is_test
from ..models import AlertRule, Incident, Job, Run
from . import outbox

EVENTS = {
    IncidentKind.FAILURE: AlertEvent.FAILURE, IncidentKind.NOT_RUN: AlertEvent.NOT_RUN,
    IncidentKind.TOO_LONG: AlertEvent.TOO_LONG, IncidentKind.DEADLINE: AlertEvent.DEADLINE,
    IncidentKind.SCHEDULER: AlertEvent.SCHEDULER,
}  # fmt: skip
"""The event of each kind of incident, for which rules can ask."""
OWN_LIMITS = (IncidentKind.TOO_LONG, IncidentKind.DEADLINE)
"""The kinds for which each rule has a limit of its own: it notifies once that has passed."""
LONGEST_ERROR = 500
"""Characters of an error that an incident keeps."""
CHANGING_FIELDS = ("count", "last_run", "last_at", "error", "fingerprint", "notified")
"""The fields of an open incident that change."""


class End(NamedTuple):
    """The end of a run, for alerts. `is_final` is false if a retry follows, with which the streak goes on."""

    job_id: str
    run_id: int | None
    status: RunStatus
    error: str
    at: datetime
    is_final: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A cause of an incident that is not the end of a run: a run that takes too long, a deadline that has passed.

    Another `fingerprint` is another occurrence of it. The job and the run are None where there is none.
    """

    kind: IncidentKind
    error: str
    fingerprint: str
    job_id: str | None = None
    run_id: int | None = None


def observe(ends: Sequence[End], now: datetime) -> None:
    """Update the incidents with ended runs, in the transaction that records them.

    A run that succeeds recovers the open incidents of its job. Cancelled runs and test runs change nothing. For more
    than one job, the caller holds locks on the jobs' rows, so that two schedulers do not change the incidents of one
    job at once.
    """
    ends = [end for end in ends if end.is_final and end.status is not RunStatus.CANCELLED and not is_test(end.job_id)]
    job_ids = sorted({end.job_id for end in ends})
    opened = Incident.objects.open().filter(job_id__in=job_ids) if job_ids else Incident.objects.none()
    # In one order, which avoids deadlocks with code that locks the incidents of one job without the job's row.
    known = {(one.job_id, one.kind): one for one in opened.select_for_update().order_by("job_id", "kind")}
    unsuccessful = [end for end in ends if end.status is not RunStatus.SUCCEEDED]
    if not known and not unsuccessful:
        return
    rules, batch = _Rules(job_ids), _Batch(now)
    for end in ends:
        if end.status is RunStatus.SUCCEEDED:
            for kind in (IncidentKind.FAILURE, IncidentKind.NOT_RUN, IncidentKind.TOO_LONG, IncidentKind.DEADLINE):
                if (incident := known.pop((end.job_id, kind), None)) is not None:
                    batch.settle(incident)
                    batch.recover(incident, end.at, rules.of(incident))
        else:
            kind = IncidentKind.NOT_RUN if end.status in DID_NOT_RUN else IncidentKind.FAILURE
            incident = known.get((end.job_id, kind))
            if incident is None:
                incident = Incident(job_id=end.job_id, kind=kind, opened_at=end.at, first_run=end.run_id, count=0)
                known[end.job_id, kind] = incident
            batch.settle(incident)
            _count(incident, end)
            batch.add(incident, _tell(incident, rules.of(incident), now, lost=end.status is RunStatus.LOST))
    batch.write()


def locked_jobs(job_ids: Collection[str]) -> set[str]:
    """Lock the open incidents of jobs, and return the jobs of those that somebody else has locked.

    There are none on SQLite, which has no locks of rows.
    """
    if not connection.features.has_select_for_update_skip_locked:
        return set()
    found = Incident.objects.open().filter(job_id__in=job_ids)
    locked_now = found.select_for_update(skip_locked=True).values_list("pk", flat=True)
    return set(found.exclude(pk__in=list(locked_now)).values_list("job_id", flat=True))


def forgive(job_id: str) -> None:
    """Reset the failures that `pause_after` counts, because the job was resumed."""
    Incident.objects.open().filter(job_id=job_id, kind=IncidentKind.FAILURE).update(forgiven=F("count"))


def jobs_to_pause(job_ids: Collection[str]) -> dict[str, int]:
    """Return the jobs among `job_ids` that `pause_after` pauses now, each with its number of failures in a row."""
    streak = F("count") - F("forgiven")
    failing = Incident.objects.open().filter(job_id__in=job_ids, kind=IncidentKind.FAILURE)
    reached = failing.filter(job__paused=False, job__pause_after__isnull=False, job__pause_after__lte=streak)
    return dict(reached.values_list("job_id", streak))


def jobs_with_incidents() -> frozenset[str]:
    """Return the ids of the jobs with an open incident."""
    return frozenset(Incident.objects.open().exclude(job_id=None).values_list("job_id", flat=True))


def retried(run_ids: Sequence[int]) -> set[int]:
    """Return the runs among `run_ids` that have a next attempt: that one decides whether their streak goes on."""
    if not run_ids:
        return set()
    same = Run.objects.filter(job_id=OuterRef("job_id"), scheduled_time=OuterRef("scheduled_time"))
    following = same.filter(attempt=OuterRef("attempt") + 1)
    return set(Run.objects.filter(Exists(following), pk__in=run_ids).values_list("pk", flat=True))


def raise_incident(condition: Condition, now: datetime, *, rules: Sequence[AlertRule] | None = None) -> Incident:
    """Open the incident of a condition, or notify again if its fingerprint has changed.

    `rules` are the ones whose limit has passed; None for all that apply.
    """
    job_id, kind = condition.job_id, condition.kind
    with transaction.atomic():
        incident = Incident.objects.open().select_for_update().filter(job_id=job_id, kind=kind).first()
        if incident is None:
            incident = Incident(job_id=job_id, kind=kind, opened_at=now, first_run=condition.run_id, last_at=now)
        elif incident.fingerprint != condition.fingerprint:
            incident.count += 1
        incident.last_run, incident.last_at, incident.error = condition.run_id, now, condition.error[:LONGEST_ERROR]
        incident.fingerprint = condition.fingerprint
        concerned = _Rules([job_id] if job_id else []).of(incident) if rules is None else rules
        messages = _tell(incident, concerned, now)
        incident.save()
        outbox.put(messages, now)
    return incident


def scheduler_lost(scheduler_ids: Iterable[str], now: datetime) -> None:
    """Notify that schedulers were lost, with an incident for each that is over at once."""
    for scheduler_id in scheduler_ids:
        lost = Condition(
            kind=IncidentKind.SCHEDULER, error=f"the scheduler {scheduler_id} was lost",
            fingerprint=fingerprint_of(scheduler_id) + scheduler_id[-16:],
        )  # fmt: skip
        incident = raise_incident(lost, now)
        Incident.objects.filter(pk=incident.pk).update(state=IncidentState.RECOVERED, recovered_at=now)


def acknowledge(incident_id: int, *, actor: str, now: datetime) -> Incident:
    """Record that somebody has acknowledged an incident, which stops its repetition.

    Raises `InvalidRequest` if it is over.
    """
    with transaction.atomic():
        incident = Incident.objects.select_for_update().filter(pk=incident_id).first()
        if incident is None or incident.state == IncidentState.RECOVERED:
            raise InvalidRequest(f"there is no open incident {incident_id}")
        if incident.state == IncidentState.OPEN:
            incident.state, incident.acknowledged_at, incident.acknowledged_by = (
                IncidentState.ACKNOWLEDGED, now, actor
            )  # fmt: skip
            incident.save(update_fields=["state", "acknowledged_at", "acknowledged_by"])
    return incident


def keep_quiet(rule: AlertRule, now: datetime) -> None:
    """Keep a rule that was just saved from notifying of incidents that are open already, as if it had done so before.

    It notifies when the error of one changes, and again after a day. Call it in the transaction that saves the rule.
    The kinds for which each rule has a limit of its own are left out: `watch` finds out whether the limit has passed.
    """
    if not rule.enabled:
        return
    with transaction.atomic():
        still_open = Incident.objects.open().filter(count__gte=rule.after).exclude(kind__in=OWN_LIMITS)
        locked = list(still_open.select_for_update().order_by("job_id", "kind"))
        job_ids = [incident.job_id for incident in locked if incident.job_id] if rule.tag else []
        tags = dict(Job.objects.filter(pk__in=job_ids).values_list("id", "tags"))
        for incident in locked:
            notified = notifications(incident)
            wanted = rule.wants(EVENTS[IncidentKind(incident.kind)]) and str(rule.pk) not in notified
            if wanted and rule.applies_to(incident.job_id, tags.get(incident.job_id or "")):
                known = {"at": now.isoformat(), "fingerprints": [incident.fingerprint], "silent": True}
                incident.notified = notified | {str(rule.pk): known}
                incident.save(update_fields=["notified"])


def repeat(now: datetime) -> None:
    """Notify again of open incidents that nobody has acknowledged for a day.

    An incident that a scheduler is writing is left for the next time: waiting for it could be a deadlock.
    """
    with transaction.atomic():
        still_open = Incident.objects.filter(state=IncidentState.OPEN).order_by("pk")
        skip_locked = connection.features.has_select_for_update_skip_locked
        locked = list(still_open.select_for_update(skip_locked=skip_locked))
        rules, batch = _Rules([incident.job_id for incident in locked if incident.job_id]), _Batch(now)
        for incident in locked:
            concerned = rules.of(incident)
            if incident.kind in OWN_LIMITS:
                concerned = [rule for rule in concerned if _last(notifications(incident), rule) is not None]
            if messages := _tell(incident, concerned, now):
                batch.add(incident, messages)
        batch.write()


class _Rules:
    """The enabled rules and the tags of the jobs, read once for each batch, and only when needed."""

    def __init__(self, job_ids: Sequence[str]) -> None:
        self._job_ids = job_ids
        self._loaded: tuple[list[AlertRule], dict[str, Any]] | None = None

    def of(self, incident: Incident) -> list[AlertRule]:
        """Return the rules that apply to an incident."""
        if self._loaded is None:
            rules = list(AlertRule.objects.filter(enabled=True).prefetch_related("channels"))
            tags: dict[str, Any] = defaultdict(list)
            if any(rule.tag for rule in rules):
                tags.update(Job.objects.filter(pk__in=self._job_ids).values_list("id", "tags"))
            self._loaded = (rules, tags)
        rules, tags = self._loaded
        return [rule for rule in rules if rule.applies_to(incident.job_id, tags[incident.job_id or ""])]


class _Batch:
    """Changed incidents and the messages about them, written by a few statements, however many they are."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._forget()

    def _forget(self) -> None:
        self._job_ids: set[str | None] = set()
        self._incidents: list[Incident] = []
        self._messages: list[outbox.Message] = []
        self._recovered: list[tuple[Incident, Sequence[AlertRule]]] = []

    def add(self, incident: Incident, messages: Iterable[outbox.Message]) -> None:
        """Write these later. The incident must not change before."""
        self._job_ids.add(incident.job_id)
        self._incidents.append(incident)
        self._messages += messages

    def recover(self, incident: Incident, at: datetime, rules: Sequence[AlertRule]) -> None:
        """Write later that the incident is over since `at`. `rules` are the ones that apply to it."""
        self._job_ids.add(incident.job_id)
        incident.state, incident.recovered_at = IncidentState.RECOVERED, at
        self._recovered.append((incident, rules))

    def settle(self, incident: Incident) -> None:
        """Write everything now if something of the incident's job waits to be written, so that the order is kept."""
        if incident.job_id in self._job_ids:
            self.write()

    def write(self) -> None:
        """Write everything."""
        known = [one for one in self._incidents if one.pk is not None]
        Incident.objects.bulk_create([one for one in self._incidents if one.pk is None])
        Incident.objects.bulk_update(known, CHANGING_FIELDS)
        outbox.put(self._messages, self._now)
        if self._recovered:
            self._write_recoveries()
        self._forget()

    def _write_recoveries(self) -> None:
        incidents = [incident for incident, _ in self._recovered]
        Incident.objects.bulk_update(incidents, ("state", "recovered_at"))
        unheard = outbox.drop_unheard(incidents, self._now)
        messages = [
            outbox.Message(incident, rule, Reason.RECOVERED)
            for incident, rules in self._recovered
            for rule in rules
            if rule.wants(AlertEvent.RECOVERY) and _has_sent(rule, incident) and (incident.pk, rule.pk) not in unheard
        ]
        outbox.put(messages, self._now)


def _count(incident: Incident, end: End) -> None:
    incident.count += 1
    incident.last_run, incident.last_at = end.run_id, end.at
    incident.error = end.error.partition("\n")[0][:LONGEST_ERROR]
    incident.fingerprint = fingerprint_of(incident.error)


def notifications(incident: Incident) -> dict[str, Any]:
    """Return what `incident.notified` has, by the id of a rule; nothing if it is damaged."""
    return dict(incident.notified) if isinstance(incident.notified, dict) else {}


def _tell(incident: Incident, rules: Iterable[AlertRule], now: datetime, *, lost: bool = False) -> list[outbox.Message]:
    """Return the messages to put, and note in the incident, which is not saved here, that its rules have notified."""
    messages: list[outbox.Message] = []
    event, notified = EVENTS[IncidentKind(incident.kind)], notifications(incident)
    for rule in rules:
        if not (rule.wants(event) or (lost and rule.wants(AlertEvent.LOST))):
            continue
        last = _last(notified, rule)
        reason = reason_to_notify(
            count=incident.count, after=rule.after, fingerprint=incident.fingerprint, last=last,
            acknowledged=incident.state == IncidentState.ACKNOWLEDGED, now=now,
        )  # fmt: skip
        if reason is not None:
            messages.append(outbox.Message(incident, rule, reason))
            at, fingerprints = Notified.after(last, reason, incident.fingerprint, now)
            notified[str(rule.pk)] = {"at": at.isoformat(), "fingerprints": fingerprints}
    if messages:
        incident.notified = notified
    return messages


def _has_sent(rule: AlertRule, incident: Incident) -> bool:
    entry = notifications(incident).get(str(rule.pk))
    return entry is not None and not entry.get("silent")


def _last(notified: dict[str, Any], rule: AlertRule) -> Notified | None:
    entry = notified.get(str(rule.pk))
    return (
        None if entry is None else Notified(datetime.fromisoformat(entry["at"]), tuple(entry.get("fingerprints", ())))
    )
