"""A client for the tests of the API."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from jobs.api.views import base
from tests.fakes import FakeClock

JSON = "application/json"


class Api:
    """A client that speaks JSON, and gets every answer as JSON."""

    def __init__(self) -> None:
        self.client = Client(raise_request_exception=False)

    def call(self, method: str, path: str, body: Any = None, *, content_type: str = JSON, **headers: Any) -> Any:
        """Send `body`, as JSON unless it is bytes, and return the response."""
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        response = self.client.generic(method, path, data, content_type=content_type, headers=headers)
        is_text = path in ("/metrics", "/api/docs") and response.status_code == 200  # of Prometheus, and HTML
        assert is_text or response["Content-Type"] == JSON, response.content[:500]
        return response

    def get(self, path: str, **headers: Any) -> Any:
        """Return the body of a successful GET."""
        response = self.call("GET", path, **headers)
        assert response.status_code == 200, response.getvalue()
        return json.loads(response.getvalue())

    def done(self, method: str, path: str, body: Any = None) -> Any:
        """Return the body of the answer to a request that succeeds."""
        response = self.call(method, path, body)
        assert response.status_code == 200, response.content
        return response.json()

    def refused(self, method: str, path: str, body: Any = None, **how: Any) -> tuple[int, str, set[str]]:
        """Return the status, the code and the bad fields of the answer to a request that fails."""
        response = self.call(method, path, body, **how)
        answer = response.json()
        assert answer.keys() <= {"error", "code", "fields"}
        assert answer["error"]
        assert all(answer.get("fields", {"": "-"}).values())
        return response.status_code, answer["code"], set(answer.get("fields", {}))


@pytest.fixture
def api(db: None, settings: Any, monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> Api:
    """A client of the open API, whose clock stands still."""
    settings.CRONZIMUS = settings.CRONZIMUS | {"API_AUTH": "none"}
    settings.WHITENOISE_AUTOREFRESH = True  # no `collectstatic` was run here
    monkeypatch.setattr(base, "clock", clock)
    return Api()
