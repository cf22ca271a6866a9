"""Alert rules in files: who is notified of which events, and about which jobs.

A rule names its channels. The targets of webhooks and Apprise hold secrets, and stay out of files; e-mail addresses may
be given in place of a channel, as `email`: they are the rule's own channel, which has the rule's name.

A rule with `channels` is complete: a field that it leaves out has its default. A rule without them sets only the fields
that it has, so that people may add channels and limits to a rule that came from a crontab.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any

from django.db.models import Exists, OuterRef, Q

from .. import services
from ..core.alerts import AlertEvent
from ..core.values import is_number, is_whole, unknown_names
from ..definitions.alert_rules import rule_problems, zone_problem
from ..definitions.validation import tag_problem
from ..models import AlertRule, Channel, Job
from ..models.lookups import IsAmong
from .changes import Change
from .mail_rules import MAX_NAME, is_address

EVENTS = tuple(event.value for event in AlertEvent)
"""The events, in the order in which rules list them."""
DEFAULTS: dict[str, Any] = {
    "enabled": True, "job": None, "tag": "", "events": [], "after": 1, "too_long_seconds": None,
    "too_long_factor": None, "deadline": None, "quiet_from": None, "quiet_until": None, "timezone": "",
    "email": None, "channels": [],
}  # fmt: skip
"""The fields of a rule in a file, without its name, and their defaults."""
TIMES = ("deadline", "quiet_from", "quiet_until")
"""The fields that hold times of day."""
MOST_FAILURES, MOST_SECONDS, MOST_TIMES = 32_767, 2**31 - 1, 1_000_000
"""The largest values of `after`, `too_long_seconds` and `too_long_factor`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """The objects that rules may name, and the stored rules of a file by their names."""

    jobs: Collection[str]
    channels: Mapping[str, str]
    """The kinds of the channels by their names."""
    rules: Mapping[str, AlertRule]


def compare(bodies: Sequence[Mapping[str, Any]], *, new_jobs: Iterable[str] = ()) -> list[Change]:
    """Return the changes that applying the rules `bodies` would make, in their order. Nothing is saved.

    `new_jobs` are the ids of the jobs in the same file, about which rules may be.
    """
    if not bodies:
        return []
    times = Counter(str(body.get("name")) for body in bodies)
    known = _known(bodies, new_jobs)
    return [_compare(body, index, known, twice=times[str(body.get("name"))] > 1) for index, body in enumerate(bodies)]


def apply(body: Mapping[str, Any], change: Change, *, now: datetime) -> None:
    """Create or change the rule `body` and its own channel, by `change`."""
    if change.kind == "unchanged":
        return
    values = _values(body)
    email = values.pop("email", None)
    channels = values.pop("channels", None)
    if "job" in values:
        values["job_id"] = values.pop("job")
    values |= {name: _time(values[name]) for name in TIMES if name in values}
    services.save_rule(change.id, values, recipients=email, channels=channels, now=now, changes=change.fields)


def definitions_of_rules(rules: Iterable[AlertRule]) -> list[dict[str, Any]]:
    """Return the bodies that create `rules` again, without fields that have their default."""
    found = []
    for rule in rules:
        fields = _fields_of(rule)
        always = ("events", "channels")
        kept = {name: value for name, value in fields.items() if name in always or value != DEFAULTS[name]}
        found.append({"name": rule.name, **kept})
    return found


def stored_rules(job_ids: Iterable[str] | None = None) -> list[AlertRule]:
    """Return the rules with their channels, by name: all, or those about one of these jobs alone.

    Rules about a job that has been removed are left out: a file with one could not be applied.
    """
    exists = Q(job_id=None) | Exists(Job.objects.filter(pk=OuterRef("job_id")))
    rules = AlertRule.objects.filter(exists).order_by("name").prefetch_related("channels")
    return list(rules if job_ids is None else rules.filter(IsAmong("job_id", job_ids)))


def _known(bodies: Sequence[Mapping[str, Any]], new_jobs: Iterable[str]) -> _Known:
    named = {job_id for body in bodies if isinstance(job_id := body.get("job"), str)}
    names = [name for body in bodies if isinstance(name := body.get("name"), str)]
    rules = AlertRule.objects.filter(IsAmong("name", names)).prefetch_related("channels")
    return _Known(
        jobs={*new_jobs, *Job.objects.filter(IsAmong("pk", named)).values_list("pk", flat=True)},
        channels=dict(Channel.objects.values_list("name", "kind")), rules={rule.name: rule for rule in rules},
    )  # fmt: skip


def _compare(body: Mapping[str, Any], index: int, known: _Known, *, twice: bool) -> Change:
    problems = _problems(body, known) | ({"name": "stands more than once in the file"} if twice else {})
    if problems:
        name = str(body.get("name") or f"alerts[{index}]")[:MAX_NAME]
        return Change(kind="invalid", id=name, what="alert rule", problems=problems)
    after, rule = _values(body), known.rules.get(body["name"])
    if rule is None:
        given = {name: (None, value) for name, value in after.items() if value != DEFAULTS[name]}
        return Change(kind="create", id=body["name"], what="alert rule", fields=given)
    before = _fields_of(rule)
    changed = {name: (before[name], value) for name, value in after.items() if before[name] != value}
    return Change(kind="change" if changed else "unchanged", id=rule.name, what="alert rule", fields=changed)


def _values(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that a valid rule sets, in canonical form."""
    given = {name: value for name, value in body.items() if name != "name"}
    if "channels" in given:
        given = {**DEFAULTS, **given}
        given["channels"] = sorted(set(given["channels"]))
    if given.get("job"):
        given["tag"] = ""
    elif "tag" in given:
        given["job"] = None
    if "events" in given:
        given["events"] = [event for event in EVENTS if event in given["events"]]
    if given.get("email"):
        given["email"] = ", ".join(_addresses(given["email"]))
    return given | {name: _clock(_time(given[name])) for name in TIMES if name in given}


def _fields_of(rule: AlertRule) -> dict[str, Any]:
    own = next((one for one in rule.channels.all() if one.kind == Channel.EMAIL and one.name == rule.name), None)
    events = rule.events if isinstance(rule.events, list) else []
    return {
        "enabled": rule.enabled, "job": rule.job_id, "tag": "" if rule.job_id else rule.tag,
        "events": [event for event in EVENTS if event in events],
        "after": rule.after, "too_long_seconds": rule.too_long_seconds, "too_long_factor": rule.too_long_factor,
        **{name: _clock(getattr(rule, name)) for name in TIMES}, "timezone": rule.timezone,
        "email": ", ".join(_addresses(own.target)) if own else None,
        "channels": sorted(one.name for one in rule.channels.all() if one != own),
    }  # fmt: skip


def _problems(body: Mapping[str, Any], known: _Known) -> dict[str, str]:
    problems = dict(unknown_names(body, ("name", *DEFAULTS)))
    for name, problem_of in CHECKS.items():
        if name in body and (problem := problem_of(body[name])):
            problems[name] = problem
    if problem := _name_problem(body.get("name"), known):
        problems["name"] = problem
    stored = known.rules.get(str(body.get("name")))
    if stored is None and "events" not in body:
        problems["events"] = CHECKS["events"](None)
    problems |= _missing_objects(body, known, problems)
    if problems:
        return problems
    if body.get("email") is None and "channels" not in body:
        return {"email": "give addresses, or the names of channels as 'channels'"}
    if body.get("job") and body.get("tag"):
        return rule_problems(body)
    before = _fields_of(stored) if stored and "channels" not in body else DEFAULTS
    return rule_problems({**before, **_values(body)})


def _name_problem(name: object, known: _Known) -> str:
    if not isinstance(name, str) or not 1 <= len(name.strip()) <= len(name) <= MAX_NAME or "\0" in name:
        return f"must be a text of 1 to {MAX_NAME} characters"
    if known.channels.get(name, Channel.EMAIL) != Channel.EMAIL:
        return "a channel of this name exists that is not an e-mail"
    return ""


def _missing_objects(body: Mapping[str, Any], known: _Known, problems: Mapping[str, str]) -> dict[str, str]:
    found = {}
    if body.get("job") and "job" not in problems and body["job"] not in known.jobs:
        found["job"] = f"there is no job {body['job']!r}, here or in the file"
    if "channels" in body and "channels" not in problems:
        unknown = [name for name in body["channels"] if name not in known.channels]
        if unknown:
            found["channels"] = f"there is no channel {unknown[0]!r}: make it in the admin, or mail with 'email'"
        elif body.get("name") in body["channels"]:
            found["channels"] = "the channel of the rule's own name is given as 'email'"
    return found


def _job_problem(value: object) -> str:
    return "" if value is None or (isinstance(value, str) and "\0" not in value) else "must be the id of a job"


def _events_problem(value: object) -> str:
    fits = isinstance(value, list) and value and all(isinstance(one, str) and one in EVENTS for one in value)
    return "" if fits else f"must be a list with some of {', '.join(EVENTS)}"


def _email_problem(value: object) -> str:
    if value is None:
        return ""
    fits = isinstance(value, str) and value.strip() and all(map(is_address, _addresses(value)))
    return "" if fits else "must be e-mail addresses, separated by commas"


def _channels_problem(value: object) -> str:
    fits = isinstance(value, list) and all(isinstance(name, str) for name in value)
    return "" if fits else "must be a list of the names of channels"


def _time_problem(value: object) -> str:
    if value is None:
        return ""
    try:
        _time(value)
    except (TypeError, ValueError):
        return "must be a time of day, such as 09:00"
    return ""


def _optional(value: object, fits: bool, message: str) -> str:
    return "" if value is None or fits else message


CHECKS: dict[str, Callable[[Any], str]] = {
    "enabled": lambda value: "" if isinstance(value, bool) else "must be true or false",
    "job": _job_problem,
    "tag": lambda value: "" if value == "" else tag_problem(value),
    "events": _events_problem,
    "after": lambda value: "" if is_whole(value, 1, MOST_FAILURES) else f"must be a number from 1 to {MOST_FAILURES}",
    "too_long_seconds": lambda value: _optional(
        value, is_whole(value, 1, MOST_SECONDS), "must be a whole number of seconds from 1, or null"
    ),
    "too_long_factor": lambda value: _optional(
        value, is_number(value, 1, MOST_TIMES), "must be a number from 1, or null"
    ),
    **dict.fromkeys(TIMES, _time_problem),
    "timezone": lambda value: zone_problem(value) if isinstance(value, str) else "must be a time zone",
    "email": _email_problem,
    "channels": _channels_problem,
}
"""By the name of a field: a function that returns the error in its value, "" if there is none."""


def _time(value: Any) -> time | None:
    """Return a time of day, from the text HH:MM or HH:MM:SS. Raises `ValueError` or `TypeError`."""
    if value is None:
        return None
    if not isinstance(value, str) or len(value) not in (5, 8) or value[2] != ":":
        raise ValueError("not HH:MM")
    return time.fromisoformat(value)


def _clock(value: time | None) -> str | None:
    return None if value is None else value.isoformat("seconds" if value.second else "minutes")


def _addresses(email: str) -> list[str]:
    return email.replace(",", " ").split()
