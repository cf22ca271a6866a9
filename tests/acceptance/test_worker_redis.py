"""A worker on a database of Redis that other Celery applications use, too."""

from __future__ import annotations

import json
import time
from uuid import uuid4

from kombu import Connection
from kombu.asynchronous import Hub

from jobs.scheduler.broker import make_app

from .brokers import reached
from .worker_site import IN_TIME

pytestmark = IN_TIME


def test_messages_that_another_application_has_not_acknowledged_for_long_stay_its_own() -> None:
    url = reached("redis")
    tag, message = f"theirs-{uuid4().hex}", {"headers": {}, "properties": {"delivery_info": {}}}
    with Connection(url) as theirs:
        channel = theirs.default_channel
        channel.client.hset(channel.unacked_key, tag, json.dumps([message, "their-exchange", "their-queue"]))
        channel.client.zadd(channel.unacked_index_key, {tag: time.time() - channel.visibility_timeout - 60})
        try:
            with make_app(url).connection_for_read() as ours:  # as a worker connects
                ours.transport.register_with_event_loop(ours.connection, Hub())
            assert channel.client.hexists(channel.unacked_key, tag)
        finally:
            channel.client.hdel(channel.unacked_key, tag)
            channel.client.zrem(channel.unacked_index_key, tag)
