"""Encrypted connections to a real Redis and RabbitMQ: a certificate of nobody's is refused, and so is a wrong host."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue

import pytest

from jobs.scheduler.executors.celery import CeleryTransport
from jobs.scheduler.store.dispatch import Dispatch
from tests.conftest import skip_or_fail

from .brokers import Broker, reached
from .worker_site import IN_TIME

pytestmark = [IN_TIME, pytest.mark.usefixtures("patient_publisher")]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a certificate for localhost that has signed itself; its key is beside it."""
    if shutil.which("openssl") is None:
        skip_or_fail("no openssl, which makes a certificate")
    file = tmp_path_factory.mktemp("tls") / "certificate.pem"
    command = [
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
        "-addext", "subjectAltName=DNS:localhost", "-keyout", str(file.with_name("key.pem")), "-out", str(file),
    ]  # fmt: skip
    subprocess.run(command, capture_output=True, timeout=60, check=True)
    return file


@contextmanager
def encrypted(address: tuple[str, int], certificate: Path) -> Iterator[int]:
    """Run a server that decrypts, and passes on to `address`; yield its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    started: SimpleQueue[tuple[int, Callable[[], None]]] = SimpleQueue()

    async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(65_536):
                sink.write(data)
                await sink.drain()
        sink.transport.abort()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind, ahead = await asyncio.open_connection(*address)
        await asyncio.gather(copy(reader, ahead), copy(behind, writer))

    async def work() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        ended, loop = asyncio.Event(), asyncio.get_running_loop()
        started.put((server.sockets[0].getsockname()[1], lambda: loop.call_soon_threadsafe(ended.set)))
        await ended.wait()
        server.close()
        if connections := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(connections, timeout=5)

    thread = threading.Thread(target=asyncio.run, args=(work(),))
    thread.start()
    port, end = started.get()
    try:
        yield port
    finally:
        end()
        thread.join()


@pytest.mark.parametrize("name", ["redis", "rabbitmq"])
@pytest.mark.parametrize(
    ("host", "parameters", "refusal"),
    [
        ("localhost", "", "certificate verify failed"),
        ("localhost", "ssl_ca_certs={certificate}", ""),
        ("127.0.0.1", "ssl_ca_certs={certificate}", "not valid for '127.0.0.1'"),
        ("127.0.0.1", "ssl_ca_certs={certificate}&ssl_check_hostname=false", ""),
        ("127.0.0.1", "ssl_cert_reqs=none", ""),
    ],
)
def test_a_broker_needs_a_certificate_that_is_trusted_and_names_its_host(
    name: str, host: str, parameters: str, refusal: str, certificate: Path
) -> None:
    broker = Broker(reached(name))
    with encrypted(broker.address, certificate) as port:
        scheme, rest = broker.through(port).replace("127.0.0.1", host).split("://")
        transport = CeleryTransport(f"{scheme}s://{rest}?{parameters.format(certificate=certificate)}")
        try:
            errors = transport.publish([Dispatch(1, broker.queue, "0" * 32)])
        finally:
            transport.close()
        assert [refusal in str(error) for error in errors.values()] == [True] * bool(refusal)
    assert refusal or broker.waiting() == 1
    broker.drop()
