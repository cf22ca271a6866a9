"""The page of the API's description in a real browser: every part open, light and dark, desk and phone."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.acceptance.browser import chromium_fixture, inaccessible, watch  # noqa: F401
from tests.acceptance.test_admin_pages import SIZES, too_wide

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

OPEN_ALL = "document.querySelectorAll('details').forEach(part => { part.open = true })"


@pytest.mark.parametrize(("size", "scheme"), [("desk", "light"), ("phone", "dark")])
def test_the_page_has_no_error_and_leaves_nobody_out(
    chromium: Browser, live_server: Any, settings: Any, size: str, scheme: Any
) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"API_AUTH": "none"}
    context = chromium.new_context(base_url=live_server.url, viewport=SIZES[size], color_scheme=scheme)
    page = context.new_page()
    wrong = watch(page, live_server.url)
    page.goto("/api/docs")
    page.evaluate(OPEN_ALL)
    problems = [*wrong, *too_wide(page), *inaccessible(page)]
    context.close()
    assert problems == []
