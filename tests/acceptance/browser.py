"""Helpers of the tests with a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.conftest import skip_or_fail

CHROMIUM = Path("/usr/bin/chromium")
AXE = Path(__file__).parent / "vendor/axe-core/axe.min.js"
STANDARDS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
"""The rules of axe-core: WCAG 2.2 AA, and its authors' best practices."""


@pytest.fixture(scope="module", name="chromium")
def chromium_fixture() -> Iterator[Browser]:
    """A real Chromium. Because of Playwright's event loop, Django takes this thread for an asynchronous one."""
    if not CHROMIUM.exists():
        skip_or_fail(f"{CHROMIUM} is missing")
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


expect.set_options(timeout=30_000)
"""The default of a page is not that of assertions, which is 5 s."""


def watch(page: Page, server: str) -> list[str]:
    """Return a list that collects the browser's errors, failed requests, and requests to other hosts."""
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda sent: None if is_from(sent.url, server) else wrong.append(f"asks {sent.url}"))
    page.on("response", lambda answer: wrong.append(f"{answer.status} {answer.url}") if answer.status >= 400 else None)
    return wrong


def is_from(url: str, server: str) -> bool:
    """Tell whether a request goes to the server under test."""
    return urlsplit(url).netloc == urlsplit(server).netloc or url.startswith("data:")


def log_in(page: Page, name: str = "ana") -> None:
    """Log in as people do; the password is “secret”."""
    page.goto("/admin/")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill("secret")
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("/admin/")


def inaccessible(page: Page, part: str = "html") -> list[str]:
    """Return axe-core's findings on a page, or on the part of a selector: the rules and the places."""
    # By the devtools, because the policy of the page would refuse a script.
    page.evaluate(AXE.read_text())
    found: dict[str, Any] = page.evaluate(
        "([part, tags]) => axe.run(part, {runOnly: {type: 'tag', values: tags}, resultTypes: ['violations']})",
        [part, STANDARDS],
    )
    return [
        f"{violation['id']}: {node['target']} {node['failureSummary'].splitlines()[-1].strip()}"
        for violation in found["violations"]
        for node in violation["nodes"][:3]
    ]
