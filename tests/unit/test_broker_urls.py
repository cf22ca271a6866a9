"""The URLs of brokers: which will do, what is wrong with others, and what an encrypted connection verifies."""

from __future__ import annotations

import ssl
from typing import Any

import pytest

from jobs.core.brokers import broker_name, broker_problem
from jobs.scheduler.broker import make_app, tls_options

CA = "ssl_ca_certs=/etc/ssl/ca.pem"


@pytest.mark.parametrize(
    "url",
    [
        "", "redis://host", "redis://host/", "redis://host:6379//", "redis://host:6379/0", "redis://:secret@host/15",
        "rediss://user:secret@host/0", "amqp://user:secret@host:5672/vhost", "amqp://host//", "amqps://host/a%2Fb",
        f"rediss://host:6379/0?{CA}", f"amqps://host/?{CA}&ssl_cert_reqs=CERT_NONE&ssl_check_hostname=False",
    ],
)  # fmt: skip
def test_these_brokers_will_do(url: str) -> None:
    assert broker_problem(url) == ""


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("", ""), ("sqs://user:secret@host", ""), ("redis://:secret@Host", "redis://host:6379/0"),
        ("redis://host:6380//", "redis://host:6380/0"), ("redis://host/07", "redis://host:6379/7"),
        (f"rediss://user:secret@[::1]/1?{CA}", "rediss://[::1]:6379/1"),
        ("amqp://user:secret@host", "amqp://host:5672//"), ("amqp://host/", "amqp://host:5672//"),
        ("amqp://host//", "amqp://host:5672//"), ("amqps://user:secret@host/a%2Fb", "amqps://host:5671/a/b"),
    ],
)  # fmt: skip
def test_a_broker_has_one_name_without_its_password(url: str, name: str) -> None:
    assert broker_name(url) == name


@pytest.mark.parametrize("url", ["sqs://", "redis://", "host:6379", "redis://:secret@host:port/0", "redis://host:0/0"])
def test_other_brokers_are_refused_without_their_password(url: str) -> None:
    assert "such as redis://host:6379/0" in broker_problem(url)
    assert "secret" not in broker_problem(url)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("redis://:secret@host:6379/7/", "the number of a database"),
        ("redis://:secret@host:6379/notadb", "the number of a database"),
        ("redis://:secret@a/0;redis://b/0", "must name one server"),
        ("amqp://user:secret@host/vhost#part", "after a #"),
        ("redis://host:6379/0?password=secret", "may have no parameters after ? but ssl_ca_certs"),
        ("amqp://user:12?secret=x@host/vhost", "in a password ? is %3F"),
        ("redis://host:6379/0?secret", "may have no parameters"),
        (f"redis://:secret@host:6379/0?{CA}", "write rediss://"),
        (f"amqp://user:secret@host/vhost?{CA}", "write amqps://"),
        ("rediss://:secret@host/0?ssl_cert_reqs=secret", "ssl_cert_reqs=required|optional|none"),
        ("rediss://:secret@host/0?ssl_check_hostname=", "ssl_check_hostname=true|false"),
        ("rediss://:secret@host/0?ssl_ca_certs=", "ssl_ca_certs=…"),
    ],
)
def test_a_url_that_cannot_work_is_refused_and_the_wrong_part_named(url: str, why: str) -> None:
    assert why in broker_problem(url)
    assert "secret" not in broker_problem(url)


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("redis://host/0", None),
        ("amqp://host//", None),
        ("rediss://host/0", {"ssl_cert_reqs": "required", "ssl_check_hostname": True}),
        ("amqps://host/v", {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": "host"}),
        ("rediss://host/0?ssl_cert_reqs=none", {"ssl_cert_reqs": "none", "ssl_check_hostname": False}),
        ("amqps://host/v?ssl_cert_reqs=CERT_NONE", {"cert_reqs": ssl.CERT_NONE}),
        ("amqps://host/v?ssl_check_hostname=false", {"cert_reqs": ssl.CERT_REQUIRED}),
        (
            f"rediss://host/0?{CA}",
            {"ssl_ca_certs": "/etc/ssl/ca.pem", "ssl_cert_reqs": "required", "ssl_check_hostname": True},
        ),
        (
            f"amqps://localhost/v?{CA}&ssl_certfile=/c&ssl_keyfile=/k",
            {"ca_certs": "/etc/ssl/ca.pem", "certfile": "/c", "keyfile": "/k", "cert_reqs": ssl.CERT_REQUIRED,
             "server_hostname": "localhost"},
        ),
    ],
)  # fmt: skip
def test_certificates_and_names_of_hosts_are_verified_unless_the_url_says_otherwise(url: str, options: Any) -> None:
    assert tls_options(url) == options
    for connection in (make_app(url).connection_for_read(), make_app(url).connection_for_write()):
        assert (connection.ssl or None) == options
        assert "?" not in connection.as_uri()
