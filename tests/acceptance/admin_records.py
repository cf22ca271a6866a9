"""A team's alerts, tokens and audit, for the pages of the admin."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any

from jobs import services
from jobs.core.alerts import Reason
from jobs.core.audit import Door, Origin, acting
from jobs.models import AlertRule, AuditEvent, Channel, Delivery, Incident, Run, Scheduler, Token, Worker
from tests.acceptance.admin_data import NOW


def ago(**units: float) -> datetime:
    """Return an instant before the instant of all pages."""
    return NOW - timedelta(**units)


def fill_records(user: Any) -> None:
    """Write the alerts of the team, the tokens of `user`, and the audit."""
    _processes()
    _alerts()
    _tokens(user)
    _audit()
    _versions()


def _versions() -> None:
    """Change a job twice, and back."""
    changes = (
        (9, "ana", Door.ADMIN, {"kwargs": {"since": "last", "page_size": 250}, "timeout": 60}),
        (2, "deploy", Door.API, {"kwargs": {"since": "last", "page_size": 100}, "timeout": None}),
    )
    for days, actor, door, body in changes:
        with acting(Origin(actor=actor, door=door)):
            services.update_job("sync-crm", body, now=ago(days=days))


def _processes() -> None:
    Scheduler.objects.filter(hostname="web-2").update(clock_skew=0.012)
    Scheduler.objects.create(
        id="web-3:902", hostname="web-3", pid=902, version="0.2.0", threads=12, processes=4, zone_data="2026a",
        started_at=ago(hours=5), heartbeat_at=ago(seconds=4), lease_until=NOW + timedelta(seconds=11),
        drained_at=ago(minutes=12), drained_by="ben", clock_skew=-1.4,
    )  # fmt: skip
    Scheduler.objects.create(
        id="web-1:88", hostname="web-1", pid=88, version="0.1.9", threads=12, started_at=ago(days=9),
        heartbeat_at=ago(days=3), lease_until=ago(days=3), stopped_at=ago(days=3),
    )  # fmt: skip
    for name, queues, running, beat in (("reports", ["reports", "mail"], 3, 1), ("gpu", ["gpu"], 0, 90)):
        Worker.objects.create(
            id=f"{name}-1", name=f"{name}@worker-1", hostname="worker-1", pid=31, version="0.2.0", queues=queues,
            slots=4, running_runs=running, started_at=ago(hours=30), heartbeat_at=ago(seconds=beat),
            lease_until=NOW + timedelta(seconds=15 - beat),
        )  # fmt: skip


def _alerts() -> None:
    mail = Channel.objects.create(name="ops-mail", kind="email", target="ops@example.com, on-call@example.com")
    pager = Channel.objects.create(
        name="pager", kind="webhook", target="https://events.example.com/v2/enqueue?key=k", secret="whsec_c2VjcmV0"
    )
    chat = Channel.objects.create(name="team-chat", kind="apprise", target="slack://a/b/c", enabled=False)
    broken = _rule("Whatever breaks", mail, chat, events=["failure", "recovery"])
    _rule("Billing, at once", pager, mail, events=["failure", "lost", "not_run", "recovery"], tag="billing")
    _rule("Backup by six", pager, events=["deadline"], job_id="nightly-backup", deadline=time(6), timezone="UTC",
          quiet_from=time(22), quiet_until=time(7))  # fmt: skip
    _rule("Slow imports", chat, events=["too_long"], tag="etl", too_long_factor=3.0, enabled=False)
    crm = _incident("sync-crm", "failure", "open", 4, ago(minutes=47), "ConnectTimeout: crm.example.com:443 did not "
                    "answer within 10 s")  # fmt: skip
    _incident("check-certificates", "failure", "acknowledged", 2, ago(hours=33), "CertificateExpiring: api.example.com "
              "expires in 6 days", acknowledged_by="ben", acknowledged_at=ago(hours=8))  # fmt: skip
    rates = _incident("refresh-exchange-rates", "failure", "recovered", 1, ago(hours=3), "stopped after its timeout of "
                      "30 s", recovered_at=ago(hours=2.98))  # fmt: skip
    _incident("import-orders", "not_run", "recovered", 2, ago(hours=6.4), "seen 71.0 s late; misfire_grace_time is "
              "60 s", recovered_at=ago(hours=6.3))  # fmt: skip
    _incident(None, "scheduler", "recovered", 1, ago(days=3), "the scheduler web-3:77 was lost",
              recovered_at=ago(days=3))  # fmt: skip
    _delivery(mail, rates, broken, Reason.RECOVERED, ago(hours=2.98), "job refresh-exchange-rates has recovered",
              state="delivered", seconds=0.42, response="sent to ops@example.com, on-call@example.com")  # fmt: skip
    _delivery(mail, crm, broken, Reason.OPENED, ago(minutes=47), "job sync-crm failed once: ConnectTimeout: crm.example"
              ".com:443 did not answer within 10 s", state="delivered", seconds=0.31,
              response="sent to ops@example.com, on-call@example.com")  # fmt: skip
    _delivery(chat, crm, broken, Reason.OPENED, ago(minutes=47), "job sync-crm failed once: ConnectTimeout",
              state="failed", attempts=9, seconds=10.0, response="Apprise could not notify")  # fmt: skip
    _delivery(pager, None, None, Reason.TEST, ago(minutes=3), "This is a test of Cronzimus.", state="pending",
              attempts=2, next_attempt_at=NOW + timedelta(seconds=48), response="503 Service Unavailable: try later",
              seconds=0.09)  # fmt: skip


def _rule(name: str, *channels: Channel, **fields: Any) -> AlertRule:
    rule = AlertRule.objects.create(name=name, **fields)
    rule.channels.set(channels)
    return rule


def _incident(job_id: str | None, kind: str, state: str, count: int, at: datetime, error: str, **more: Any) -> Incident:
    run = Run.objects.filter(job_id=job_id).order_by("-scheduled_time").values_list("pk", flat=True).first()
    return Incident.objects.create(
        job_id=job_id, kind=kind, state=state, count=count, opened_at=at, last_at=at, error=error, first_run=run,
        last_run=run, **more,
    )  # fmt: skip


def _delivery(
    channel: Channel, incident: Incident | None, rule: AlertRule | None, reason: str, at: datetime, text: str,
    **more: Any,
) -> None:  # fmt: skip
    delivered = at + timedelta(seconds=2) if more["state"] == "delivered" else None
    Delivery.objects.create(
        channel=channel, incident=incident, rule=rule, reason=reason, created_at=at, delivered_at=delivered,
        payload={"specversion": "1.0", "type": f"cronzimus.incident.{reason}", "data": {"text": text}},
        **{"attempts": 1, **more},
    )  # fmt: skip


def _tokens(user: Any) -> None:
    tokens: list[tuple[str, str, list[str], float, float | None, datetime | None]] = [
        ("nightly deploy", "write", [], 40, 0.02, NOW + timedelta(days=51)),
        ("grafana", "read", [], 400, 0.0001, None),
        ("billing webhook", "run", ["billing"], 220, 140, None),
        ("old laptop", "admin", [], 300, None, ago(days=12)),
    ]
    tokens.append(("etl staging", "run", ["etl"], 30, 3, None))
    for number, (name, scope, tags, made, used, expires) in enumerate(tokens):
        Token.objects.create(
            user=user, name=name, prefix=f"czm_{number}kQx7Zp"[:12], digest=f"{number:064x}", scopes=[scope], tags=tags,
            created_at=ago(days=made), last_used_at=ago(days=used) if used is not None else None, expires_at=expires,
            disabled_at=ago(days=2) if name == "etl staging" else None,
        )  # fmt: skip


def _audit() -> None:
    rows: list[tuple[float, str, str, str, str, str, dict[str, Any]]] = [
        (0.4, "ana", "admin", "run_cancelled", "rollup-metrics", "48211", {}),
        (2, "deploy", "api", "job_updated", "import-orders", "",
         {"misfire_grace_time": [30, 60], "trigger": [{"type": "interval", "minutes": 5},
                                                      {"type": "cron", "crontab": "*/2 * * * *"}]}),
        (190, "ben", "admin", "incident_acknowledged", "check-certificates", "2", {"kind": [None, "failure"]}),
        (2736, "ben", "api", "job_paused", "archive-logs", "", {"paused_until": [None, "2026-11-30T03:00:00+00:00"]}),
        (3000, "ana", "admin", "rule_added", "", "Billing, at once", {"tag": [None, "billing"]}),
        (10_080, "ana", "admin", "job_paused", "vacuum-analyze", "", {"paused": [False, True]}),
        (20_000, "ana", "admin", "token_made", "", "czm_0kQx7Zp…", {"scopes": [None, ["write"]]}),
        (30_000, "", "file", "job_added", "score-leads", "", {"tags": [None, ["etl"]], "owner": [None, "growth"]}),
    ]  # fmt: skip
    AuditEvent.objects.bulk_create(
        AuditEvent(at=ago(minutes=minutes), actor=actor, door=door, action=action, job_id=job, object_id=about,
                   changes=changes, address="192.0.2.17" if door in ("admin", "api") else "",
                   token="czm_0kQx7Zp" if door == "api" else "")
        for minutes, actor, door, action, job, about, changes in rows
    )  # fmt: skip
