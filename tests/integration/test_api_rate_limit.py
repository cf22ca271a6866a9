"""The limit of requests for each client: off by default, counted in the cache, with the usual envelope."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.core.cache import caches
from django.core.management import call_command
from django.db import connection

from jobs import checks
from jobs.api import throttling
from jobs.core.rates import Rate, parse_rate
from tests.fakes import FakeClock, make_token, make_user

from .api_client import Api

JOBS = "/scheduler/jobs"
DATABASE = {"default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "cronzimus_cache"}}


REDIS = "redis://127.0.0.1:6379/0"


def redis_cache(url: str = REDIS) -> dict[str, Any]:
    """Return the setting of a cache in Redis, with keys of this test's own."""
    options = {"socket_connect_timeout": 30, "socket_timeout": 30}
    return {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": url, "OPTIONS": options,
            "KEY_PREFIX": f"test-{uuid4()}",
        }
    }  # fmt: skip


def require_redis() -> None:
    """Skip the test without a Redis server."""
    redis = pytest.importorskip("redis", reason="needs the Python package redis")
    try:
        redis.Redis.from_url(REDIS, socket_connect_timeout=30).ping()
    except redis.RedisError:
        pytest.skip(f"needs a Redis server at {REDIS}")


@pytest.fixture(params=["memory", "database", "redis"])
def limited(request: pytest.FixtureRequest, api: Api, settings: Any) -> Api:
    """A client of an API that allows three requests a minute, counted in a cache of each kind."""
    settings.CRONZIMUS = settings.CRONZIMUS | {"API_RATE_LIMIT": "3/minute"}
    if request.param == "redis":
        require_redis()
        settings.CACHES = redis_cache()
        return api
    if request.param == "database":
        settings.CACHES = DATABASE
        call_command("createcachetable", verbosity=0)
    caches["default"].clear()
    return api


def statuses(api: Api, count: int, path: str = JOBS, **headers: str) -> list[int]:
    """Return the statuses of some requests."""
    return [api.call("GET", path, **headers).status_code for _ in range(count)]


def test_there_is_no_limit_by_default(api: Api) -> None:
    assert set(statuses(api, 30)) == {200}


def test_requests_beyond_the_limit_are_429_until_the_minute_is_over(limited: Api, clock: FakeClock) -> None:
    clock.advance(12.5)
    assert statuses(limited, 4) == [200, 200, 200, 429]
    clock.advance(47.4)
    assert statuses(limited, 1) == [429]
    clock.advance(0.1)
    assert statuses(limited, 4) == [200, 200, 200, 429]


def test_a_refusal_says_when_to_try_again(limited: Api, clock: FakeClock) -> None:
    clock.advance(12.5)
    statuses(limited, 3)
    response = limited.call("GET", JOBS)
    assert response["Retry-After"] == "48"
    assert response.json() == {
        "error": "At most 3/minute requests; try again in 48 s.", "code": "TOO_MANY_REQUESTS",
    }  # fmt: skip


def test_reads_and_writes_of_all_addresses_are_counted_together(limited: Api) -> None:
    limited.call("POST", f"{JOBS}/nobody/pause")
    assert statuses(limited, 1, "/scheduler/runs") == [200]
    assert statuses(limited, 1, "/api/schema") == [200]
    assert limited.refused("DELETE", f"{JOBS}/nobody")[:2] == (429, "TOO_MANY_REQUESTS")


def test_probes_and_metrics_are_not_limited(limited: Api) -> None:
    statuses(limited, 4)
    for path in ("/api/health", "/api/health/live", "/metrics"):
        assert statuses(limited, 1, path) == [200]
    assert statuses(limited, 1, "/api/health/ready") == [503]


def test_each_token_each_session_and_each_address_has_a_limit_of_its_own(limited: Api, settings: Any) -> None:
    assert statuses(limited, 4)[-1] == 429
    settings.CRONZIMUS = settings.CRONZIMUS | {"API_AUTH": "token"}
    user = make_user(role="viewer")
    first, second = make_token(user), make_token(user)
    assert statuses(limited, 4, authorization=first) == [200, 200, 200, 429]
    assert statuses(limited, 1, authorization=second) == [200]
    limited.client.force_login(user)
    assert statuses(limited, 4) == [200, 200, 200, 429]


def test_a_forwarding_header_does_not_make_another_client(limited: Api) -> None:
    addresses = [f"10.0.0.{number}" for number in range(4)]
    assert [statuses(limited, 1, x_forwarded_for=address)[0] for address in addresses] == [200, 200, 200, 429]


def test_migrate_makes_the_table_of_a_cache_in_the_database(db: None, settings: Any) -> None:
    settings.CACHES = DATABASE
    assert "cronzimus_cache" not in connection.introspection.table_names()
    for _ in range(2):
        call_command("migrate", verbosity=0)
    assert "cronzimus_cache" in connection.introspection.table_names()


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("", None),
        ("1/second", Rate(1, 1)),
        ("100/minute", Rate(100, 60)),
        ("5/hour", Rate(5, 3600)),
        ("9/day", Rate(9, 86_400)),
    ],
)
def test_a_rate_is_a_number_of_requests_in_a_period(text: str, rate: Rate | None) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["100", "0/minute", "-1/minute", "1.5/hour", "5/fortnight", "5 / minute", "5/minutes"])
def test_a_wrong_rate_is_refused(settings: Any, text: str) -> None:
    settings.CRONZIMUS = {"API_RATE_LIMIT": text}
    with pytest.raises(Exception, match="API_RATE_LIMIT: must be empty or a rate such as 100/minute"):
        checks.require_valid_settings()


def test_a_cache_that_no_other_process_sees_is_warned_of(settings: Any) -> None:
    assert checks.check_rate_limit(None) == []
    settings.CRONZIMUS = {"API_RATE_LIMIT": "5/minute"}
    assert [message.id for message in checks.check_rate_limit(None)] == ["cronzimus.W007"]
    settings.CACHES = DATABASE
    assert checks.check_rate_limit(None) == []


# --- a cache that is away ---------------------------------------------------------------------------------------------


def test_a_cache_that_does_not_answer_limits_nothing_and_is_logged_once_a_minute(
    api: Api, settings: Any, clock: FakeClock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("redis", reason="needs the Python package redis")
    monkeypatch.setattr(throttling, "_warned_at", None)
    settings.CRONZIMUS = settings.CRONZIMUS | {"API_RATE_LIMIT": "1/minute"}
    settings.CACHES = redis_cache("redis://127.0.0.1:1/0")
    assert statuses(api, 3) == [200, 200, 200]
    assert caplog.text.count("requests are not limited") == 1
    clock.advance(61)
    statuses(api, 2)
    assert caplog.text.count("requests are not limited") == 2


def test_a_table_of_the_cache_that_is_missing_is_503(api: Api, settings: Any) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"API_RATE_LIMIT": "1/minute"}
    settings.CACHES = {"default": {**DATABASE["default"], "LOCATION": "no_such_table"}}
    assert api.call("GET", JOBS).status_code == 503
