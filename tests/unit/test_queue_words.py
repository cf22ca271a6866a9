"""Messages name queues, and the command that starts a worker."""

from __future__ import annotations

import pytest
from pytest_django import Settings

from jobs.conf import worker_command
from jobs.core.queues import queue_names


@pytest.mark.parametrize(
    ("module", "app", "command"),
    [
        ("shop.settings", "", "DJANGO_SETTINGS_MODULE=shop.settings celery -A jobs.worker.app worker -Q mail,reports"),
        ("cronzimus_site.settings", "cronzimus_site", "celery -A cronzimus_site worker -Q mail,reports"),
        (None, "", "celery -A jobs.worker.app worker -Q mail,reports"),
    ],
)
def test_the_command_is_that_of_the_documentation(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, module: str | None, app: str, command: str
) -> None:
    monkeypatch.delenv("DJANGO_SETTINGS_MODULE")
    if module:
        monkeypatch.setenv("DJANGO_SETTINGS_MODULE", module)
    settings.CRONZIMUS_WORKER_APP = app
    assert worker_command(["mail", "reports"]) == command
    assert worker_command() == command.partition(" -Q")[0]


@pytest.mark.parametrize(
    ("queues", "words"),
    [(["a"], "the queue a"), (["a", "b"], "the queues a and b"), (["a", "b", "c"], "the queues a, b and c")],
)
def test_queues_are_named_in_words(queues: list[str], words: str) -> None:
    assert queue_names(queues) == words
