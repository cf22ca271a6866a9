"""The page for import and export of jobs. It shows the changes that a file would make before it applies them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from ...core.audit import Door, acting, current_origin
from ...core.exceptions import CronzimusError
from ...core.secrets import masked
from ...models import AlertRule, Job
from ...transfer import files, importers, sync
from ...transfer.alert_rules import definitions_of_rules, stored_rules
from ...transfer.changes import Change
from ...transfer.export import definitions_of
from ...transfer.report import Entry, Import
from .. import display
from ..audit.admin import changes_table
from ..lists import named
from ..pages import page
from ..refusals import Refused
from ..request_time import request_now

if TYPE_CHECKING:
    from .admin import JobAdmin

LARGEST = 200_000
"""Characters of a file that the page takes; the command line takes more."""
JOBS, SYSTEM = "jobs", "system-crontab"
KINDS = (
    (JOBS, "Jobs of Cronzimus: YAML or JSON"), ("crontab", "A crontab"), (SYSTEM, "A system’s crontab, with users"),
    ("celery-beat", "django-celery-beat: the JSON of dumpdata"),
    ("apscheduler", "APScheduler: the JSON of its exporter"),
)  # fmt: skip
"""The kinds of files, and their words."""
LOOKS = {
    "create": ("succeeded", "plus", "create"), "change": ("running", "swap", "change"),
    "pause": ("missed", "pause", "pause"), "unchanged": ("skipped", "check", "unchanged"),
    "invalid": ("failed", "cross", "invalid"),
}  # fmt: skip
"""By the kind of a change: the class that gives its colour, the icon, and the word."""
OUTCOMES = {"mapped": ("succeeded", "check"), "left out": ("missed", "skip"), "invalid": ("failed", "cross"),
            "noted": ("skipped", "info")}  # fmt: skip
"""By the outcome for an entry of another scheduler: the class that gives its colour, and the icon."""
DONE = {"create": "created", "change": "changed", "pause": "paused", "unchanged": "unchanged"}
"""By the kind of a change: the word once it is made."""
ALERT_PERMISSIONS = ("add_alertrule", "change_alertrule", "add_channel", "change_channel")
"""The permissions that a file with alert rules needs."""


class TransferForm(forms.Form):
    """A file, or its text, and its kind."""

    kind = forms.ChoiceField(label="What it is", choices=KINDS, initial=JOBS, widget=forms.RadioSelect)
    file = forms.FileField(label="File", required=False, allow_empty_file=True)
    text = forms.CharField(
        label="Or its text", required=False, strip=False,
        widget=forms.Textarea({"rows": 10, "class": "wide code", "spellcheck": "false"}),
    )  # fmt: skip
    name = forms.CharField(
        label="Name", required=False, max_length=200, help_text="Jobs remember the file that they came from."
    )
    pause_missing = forms.BooleanField(
        label="Pause missing", required=False,
        help_text="Pause the jobs that came from a file of this name and are no longer in it.",
    )  # fmt: skip

    def clean(self) -> dict[str, Any]:
        """Take the text of the file, if there is one."""
        cleaned: dict[str, Any] = super().clean() or {}
        if upload := cleaned.get("file"):
            if upload.size > 4 * LARGEST:
                raise self._too_large()
            try:
                cleaned["text"] = upload.read().decode("utf-8-sig")
            except UnicodeDecodeError as error:
                raise ValidationError({"file": "It is not UTF-8."}) from error
            cleaned["name"] = cleaned.get("name") or str(upload.name)[:200]
        cleaned["text"] = cleaned.get("text", "").replace("\r\n", "\n")  # browsers send lines so
        if len(cleaned["text"]) > LARGEST:
            raise self._too_large()
        if not cleaned["text"].strip():
            raise ValidationError({"text": "Choose a file, or paste its text."})
        return cleaned

    def _too_large(self) -> ValidationError:
        return ValidationError(f"This page takes {LARGEST:,} characters; for more use manage.py cronzimus apply.")


@dataclass(slots=True, kw_only=True)
class Plan:
    """The changes that a file would make, and for the file of another scheduler the outcome of each entry."""

    changes: Sequence[Change]
    entries: Sequence[Entry] = ()
    notes: list[str] = field(default_factory=list)

    @property
    def is_invalid(self) -> bool:
        """Whether an error prevents the whole plan from being applied."""
        return any(change.problems for change in self.changes) or any(entry.is_invalid for entry in self.entries)

    @property
    def digest(self) -> str:
        """A hash of the changes: an apply is refused unless it has the hash of the plan that was shown."""
        shown = [(change.kind, change.id, change.what, change.fields, change.problems) for change in self.changes]
        return blake2b(json.dumps(shown, default=str, sort_keys=True).encode(), digest_size=12).hexdigest()

    @property
    def counted(self) -> Counter[str]:
        """The number of changes of each kind."""
        return Counter(change.kind for change in self.changes)


def transfer_page(admin: JobAdmin, request: HttpRequest) -> HttpResponse:
    """Show the page, show the changes that the sent file would make, or apply them."""
    may_apply = admin.may(request, "add", "change")
    if request.method != "POST":
        return _page(admin, request, TransferForm(), may_apply)
    admin.require(request, "add", "change")
    form, now = TransferForm(request.POST, request.FILES), request_now(request)
    if not form.is_valid():
        return _page(admin, request, form, may_apply)
    if form.cleaned_data["pause_missing"]:
        admin.require(request, "pause")
    try:
        content, imported = _read(form, now)
        plan = _plan(content, imported, form, now)
        if any(change.what != "job" and change.kind != "unchanged" for change in plan.changes):
            _require_alerts(request)
        if request.POST.get("step") == "apply" and not plan.is_invalid and request.POST.get("digest") == plan.digest:
            return _apply(admin, request, content, form, now)
    except (CronzimusError, ValueError) as error:
        form.add_error("text", f"{capfirst(str(error))}.")
        return _page(admin, request, form, may_apply)
    changed = request.POST.get("step") == "apply"
    return _page(admin, request, form, may_apply, plan=plan, changed=changed)


def whole_file(request: HttpRequest) -> HttpResponse:
    """Answer with all jobs as a file, and with the alert rules for those who may see them."""
    rules = stored_rules() if request.user.has_perm("cronzimus.view_alertrule") else []
    return jobs_file(Job.objects.order_by("id"), request_now(request), rules)


def jobs_file(jobs: Iterable[Job], now: datetime, rules: Iterable[AlertRule] = ()) -> HttpResponse:
    """Answer with jobs and alert rules as a file that `transfer_page` and the command line take."""
    content = files.dump(definitions_of(jobs), definitions_of_rules(rules))
    response = HttpResponse(content, content_type="application/yaml; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="jobs-{now:%Y%m%dT%H%M%SZ}.yaml"'
    response["Cache-Control"] = "no-store"
    return response


def _read(form: TransferForm, now: datetime) -> tuple[files.Content, Import | None]:
    kind, text, name = (form.cleaned_data[key] for key in ("kind", "text", "name"))
    if kind == JOBS:
        return files.load(text, name=name or "the file"), None
    system = kind == SYSTEM
    read = importers.parse("crontab" if system else kind, text, now=now, name=name or "the text", system=system)
    return files.Content(read.jobs, read.alerts), read


def _plan(content: files.Content, imported: Import | None, form: TransferForm, now: datetime) -> Plan:
    changes = sync.compare(content.jobs, now=now, **_scope(content, form))
    if imported is None:
        return Plan(changes=changes)
    missing = imported.functions()
    notes = [*imported.notes, *([f"Functions that must be registered: {named(missing)}."] if missing else [])]
    return Plan(changes=changes, entries=imported.entries, notes=notes)


def _scope(content: files.Content, form: TransferForm) -> dict[str, Any]:
    given = form.cleaned_data
    return {"source": given["name"], "pause_missing": given["pause_missing"], "alerts": content.alerts}


def _require_alerts(request: HttpRequest) -> None:
    for name in ALERT_PERMISSIONS:
        if not request.user.has_perm(f"cronzimus.{name}"):
            raise Refused(name)


def _apply(
    admin: JobAdmin, request: HttpRequest, content: files.Content, form: TransferForm, now: datetime
) -> HttpResponse:
    with acting(replace(current_origin(), door=Door.FILE)):
        changes = sync.apply(content.jobs, now=now, **_scope(content, form))
    number = Counter(str(change.kind) for change in changes)
    said = ", ".join(f"{number[kind]:,} {word}" for kind, word in DONE.items() if number[kind])
    admin.message_user(request, f"Applied: {said or 'nothing to do'}.", messages.SUCCESS)
    return HttpResponseRedirect(admin.page_url("transfer"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRow:
    """A change as the page shows it."""

    badge: SafeString
    label: str
    changes: SafeString | str
    notes: Sequence[str]
    problems: Sequence[str]


def _page(
    admin: JobAdmin, request: HttpRequest, form: TransferForm, may_apply: bool, *, plan: Plan | None = None,
    changed: bool = False,
) -> HttpResponse:  # fmt: skip
    context: dict[str, Any] = {
        "form": form, "may_apply": may_apply, "may_export": admin.has_change_permission(request),
        "export_url": admin.page_url("transfer_export"), "exporter_command": "python manage.py cronzimus exporter",
        "jobs_url": admin.page_url("changelist"), "plan": plan, "changed": changed,
    }  # fmt: skip
    if plan is not None:
        context |= {
            "rows": [_row(change) for change in plan.changes if change.kind != "unchanged"],
            "counted": [(f"{plan.counted[kind]:,}", look[2]) for kind, look in LOOKS.items() if plan.counted[kind]],
            "entries": [(display.badge(OUTCOMES[one.outcome][0], one.outcome, OUTCOMES[one.outcome][1]), one)
                        for one in plan.entries],
            "does_nothing": not set(plan.counted) - {"unchanged"},
            "sent": [(name, form.cleaned_data[name]) for name in ("kind", "text", "name")],
        }  # fmt: skip
    return page(
        admin.admin_site, request, "cronzimus/jobs/transfer.html", title="Import and export", live_url="", **context
    )


def _row(change: Change) -> ChangeRow:
    kind, icon, word = LOOKS[change.kind]
    fields = {name: [masked({name: value})[name] for value in pair] for name, pair in change.fields.items()}
    return ChangeRow(
        badge=display.badge(kind, word, icon), label=change.label, changes=changes_table(fields, 200),
        notes=change.notes, problems=[f"{name}: {text}" for name, text in change.problems.items()],
    )  # fmt: skip
