"""The built-in functions, with real commands and a real server on this machine."""

from __future__ import annotations

import gzip
import json
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.core.management import BaseCommand, CommandError, get_commands
from urllib3.util.connection import HAS_IPV6

from jobs.calls.runner import MAX_RESULT
from jobs.core.clock import SystemClock
from jobs.core.exceptions import InvalidArguments
from jobs.functions import registry
from jobs.functions.builtin import MAX_KEPT, CommandFailed, UnexpectedStatus, http_request, run_command, task
from jobs.functions.http import guard
from jobs.functions.http.call import HttpCall
from jobs.functions.http.client import MAX_READ, Response, fetch
from jobs.functions.http.guard import AddressRefused, Guard, RequestFailed, RequestTimedOut
from jobs.functions.registry import Database, RunContext
from tests.conftest import skip_or_fail

pytestmark = pytest.mark.any_database

Answer = Callable[["Handler"], None]

SOON = 20
"""Seconds that a request which is given up may take on any machine: without that it would take 30 or more."""


class Handler(BaseHTTPRequestHandler):
    """Answers each path as the test defines it."""

    server: Server

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        self.server.seen.append((self.command, self.path, dict(self.headers), body))
        self.server.answers[self.path](self)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer  # noqa: N815

    def log_message(self, *args: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    """A server on this machine, and its requests."""

    def __init__(self, address: str) -> None:
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        super().__init__((address, 0), Handler)
        self.answers: dict[str, Answer] = {}
        self.seen: list[tuple[str, str, dict[str, str], str]] = []
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *args: Any) -> None:
        pass  # the client hangs up on slow and on endless answers


@pytest.fixture
def start() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def started(address: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> Server:
        server = Server(address)
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return server

    yield started
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def server(start: Callable[..., Server]) -> Server:
    return start()


@pytest.fixture(autouse=True)
def _allow_this_machine(settings: Any) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"JOB_HTTP_ALLOWED_NETWORKS": ["127.0.0.0/8"]}


def says(body: bytes = b"", status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    def answer(handler: Handler) -> None:
        handler.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
            handler.send_header(name, value)
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(body)

    return answer


def redirects(location: str, status: int = 302) -> Answer:
    return says(status=status, headers={"Location": location})


def drips(beginning: bytes) -> Answer:
    """Answer `beginning`, and then one byte now and then for a minute, or until the client hangs up."""

    def answer(handler: Handler) -> None:
        handler.wfile.write(beginning)
        for _ in range(3000):
            handler.wfile.write(b"x")
            time.sleep(0.02)

    return answer


def resolves_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    answers = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: answers)


def check(name: str, *args: Any, **kwargs: Any) -> str:
    """Return the reason if a job of the function may not be saved with these arguments, else ""."""
    try:
        registry.lookup(f"cronzimus.functions:{name}").check(args, kwargs)
    except InvalidArguments as error:
        return str(error)
    return ""


# --- the sample ------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_sample_returns_and_prints_the_databases_time(capsys: pytest.CaptureFixture[str]) -> None:
    now = task(Database())

    assert now.startswith("20")
    assert capsys.readouterr().out == f"The database's time is {now}.\n"


# --- run_command -----------------------------------------------------------------------------------------------------


class Toy(BaseCommand):
    """A command whose argument chooses its behaviour."""

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("what")
        parser.add_argument("--times", type=int, default=1)

    def handle(self, *, what: str, times: int, **options: Any) -> str | None:
        if what == "return":
            return "done"
        if what == "fail":
            raise CommandError("out of paper")
        if what.startswith("exit"):
            raise SystemExit({"exit 0": 0, "exit 3": 3, "exit text": "bye"}[what])
        for _ in range(times):
            self.stdout.write(self.style.ERROR(what))
        self.stderr.write("a warning")
        return None


@pytest.fixture
def _toy(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"JOB_COMMANDS": ["toy", "ghost"]}
    monkeypatch.setitem(get_commands(), "toy", Toy(force_color=True))


@pytest.mark.usefixtures("_toy")
def test_a_commands_output_is_the_runs_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command("toy", ["hello", "--times", "2"]) is None

    assert capsys.readouterr() == ("hello\nhello\na warning\n", "")


@pytest.mark.usefixtures("_toy")
def test_what_a_command_returns_is_the_runs_result() -> None:
    assert run_command("toy", ["return"]) == "done"


@pytest.mark.usefixtures("_toy")
@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["fail"], "toy: out of paper"),
        (["exit 3"], "toy: exit status 3"),
        (["exit text"], "toy: exit status bye"),
        (["hello", "--times", "x"], "toy: Error: argument --times: invalid int value: 'x'"),
        ([], "toy: Error: the following arguments are required: what"),
    ],
)
def test_a_command_that_fails_is_a_failure_that_says_why(args: list[str], message: str) -> None:
    with pytest.raises(CommandFailed, match=message):
        run_command("toy", args)


@pytest.mark.usefixtures("_toy")
def test_exit_status_0_is_a_success() -> None:
    assert run_command("toy", ["exit 0"]) is None


@pytest.mark.usefixtures("_toy")
@pytest.mark.parametrize("command", ["migrate", "", "toy ", "TOY", "jobs.management.commands.toy", None, ["toy"], 5])
def test_a_command_that_is_not_allowed_is_not_run_and_not_saved(command: Any) -> None:
    with pytest.raises(ValueError, match="not one of those that JOB_COMMANDS allows: toy, ghost"):
        run_command(command)
    assert "JOB_COMMANDS allows: toy, ghost" in check("run_command", command)


@pytest.mark.usefixtures("_toy")
def test_a_command_that_does_not_exist_is_refused() -> None:
    assert "there is no such management command" in check("run_command", "ghost")


@pytest.mark.usefixtures("_toy")
@pytest.mark.parametrize("args", ["hello", [1], {"what": "hello"}])
def test_the_arguments_of_a_command_are_words(args: Any) -> None:
    assert "args: must be an array of strings" in check("run_command", "toy", args)


def test_the_default_settings_allow_harmless_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert check("run_command", command="check", args=["--tag", "models"]) == ""
    run_command("check", ["--tag", "models"])

    assert "no issues" in capsys.readouterr().out


# --- http_request: what is asked and answered ------------------------------------------------------------------------


def test_a_request_returns_the_answer_as_json(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.answers["/a?b=c"] = says("grüß".encode(), headers={"Content-Type": "text/plain"})

    result = http_request(f"{server.url}/a?b=c")

    assert result == {
        "status": 200,
        "elapsed": result["elapsed"],
        "url": f"{server.url}/a?b=c",
        "content_type": "text/plain",
        "body": "grüß",
        "truncated": False,
    }
    assert 0 <= result["elapsed"] < 10
    assert json.loads(json.dumps(result)) == result
    assert capsys.readouterr().out == f"GET {server.url}/a?b=c: 200 OK in {result['elapsed']:.3f} s, 6 bytes\n"


def test_a_body_and_headers_are_sent_as_they_are(server: Server) -> None:
    server.answers["/"] = says()

    http_request(server.url, "PUT", {"X-Token": "abc"}, body="ä")

    ((method, path, headers, body),) = server.seen
    assert (method, path, body) == ("PUT", "/", "ä")
    assert headers["X-Token"] == "abc"
    assert headers["Host"] == f"127.0.0.1:{server.server_port}"


def test_json_is_sent_with_its_content_type(server: Server) -> None:
    server.answers["/"] = says()

    http_request(server.url, "post", json={"a": [1, None]})

    ((method, _, headers, body),) = server.seen
    assert (method, json.loads(body), headers["Content-Type"]) == ("POST", {"a": [1, None]}, "application/json")


def test_a_head_request_has_no_body(server: Server) -> None:
    server.answers["/"] = says(b"hello")

    assert http_request(server.url, "HEAD")["body"] == ""


def test_proxies_of_the_environment_are_not_used(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.answers["/"] = says()
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    assert http_request(server.url)["status"] == 200


@pytest.mark.parametrize(
    ("body", "content_type", "text"),
    [
        ("grüß".encode("latin-1"), "text/plain; charset=ISO-8859-1", "grüß"),
        (b"a\xff\x00b", "text/plain", "a\ufffd\ufffdb"),
        (b"\\ud800", "text/plain; charset=unicode_escape", "\\ud800"),
        (b"abc", "text/plain; charset=nonsense", "abc"),
        (b"abc", ";" * 60_000, "abc"),
    ],
)
def test_a_body_becomes_text_that_can_be_stored(server: Server, body: bytes, content_type: str, text: str) -> None:
    server.answers["/"] = says(body, headers={"Content-Type": content_type})

    assert http_request(server.url)["body"] == text


# --- http_request: statuses ------------------------------------------------------------------------------------------


def test_an_unexpected_status_is_a_failure_that_quotes_the_answer(server: Server) -> None:
    server.answers["/"] = says(b"no such thing" + b"!" * 1000, 404)

    with pytest.raises(UnexpectedStatus) as caught:
        http_request(server.url)
    assert str(caught.value) == f"{server.url}: answered 404 Not Found, expected was 2xx: no such thing" + "!" * 487


def test_an_expected_status_is_a_success(server: Server) -> None:
    server.answers["/"] = says(status=404)

    assert http_request(server.url, expected_status=[404, 410])["status"] == 404


def test_success_is_a_failure_where_another_status_is_expected(server: Server) -> None:
    server.answers["/"] = says()

    with pytest.raises(UnexpectedStatus, match="answered 200 OK, expected was 404"):
        http_request(server.url, expected_status=404)


# --- http_request: limits --------------------------------------------------------------------------------------------


def test_a_big_body_is_cut_and_says_so(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.answers["/"] = says('grüß"'.encode() * 50_000)

    result = http_request(server.url)

    assert result["truncated"]
    assert result["body"].startswith('grüß"')
    assert MAX_KEPT * 0.9 < len(json.dumps(result["body"], ensure_ascii=False)) <= MAX_KEPT
    assert len(json.dumps(result, ensure_ascii=False)) <= MAX_RESULT
    assert f"350,000 bytes, of which {len(result['body']):,} characters are kept" in capsys.readouterr().out


def test_an_endless_body_is_read_up_to_a_limit(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    def endless(handler: Handler) -> None:
        handler.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n")
        while True:
            handler.wfile.write(b"x" * 65536)

    server.answers["/"] = endless

    assert http_request(server.url)["truncated"]
    assert f"more than {MAX_READ:,} bytes" in capsys.readouterr().out


def test_a_small_answer_that_unpacks_to_a_big_one_is_cut_too(server: Server) -> None:
    server.answers["/"] = says(gzip.compress(b"x" * 50_000_000), headers={"Content-Encoding": "gzip"})

    assert http_request(server.url)["truncated"]


@pytest.mark.parametrize(
    "beginning",
    [
        b"",
        b"HTTP/1.0 200 OK\r\nX-Header: ",
        b"HTTP/1.0 200 OK\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 9999\r\n\r\n",
    ],
)
def test_a_server_that_drips_is_given_up_when_the_time_is_over(server: Server, beginning: bytes) -> None:
    server.answers["/"] = drips(beginning)
    began = time.monotonic()

    with pytest.raises(RequestTimedOut, match=r"no complete answer within 0.3 s"):
        http_request(server.url, timeout=0.3)
    assert time.monotonic() - began < SOON


def test_redirects_share_one_time(server: Server) -> None:
    def slow(handler: Handler) -> None:
        time.sleep(0.2)
        redirects("/")(handler)

    server.answers["/"] = slow

    with pytest.raises(RequestTimedOut):
        http_request(server.url, timeout=0.5, max_redirects=20)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_server_that_says_nothing_is_given_up(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(RequestTimedOut):
        http_request(f"{scheme}://127.0.0.1:{silent.getsockname()[1]}/", timeout=0.2)


def test_a_closed_port_is_a_failure() -> None:
    with socket.socket() as closed:  # bound, so that nobody else gets the port, and does not listen
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]

        with pytest.raises(RequestFailed, match=f"http://127.0.0.1:{port}/.*refused"):
            http_request(f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\nabc",
        b"HTTP/1.0 200 OK\r\n" + b"A: b\r\n" * 200,
        b"HTTP/1.0 200 OK\r\nContent-Encoding: gzip\r\n\r\nabc",
    ],
)
def test_an_answer_that_is_not_http_is_a_failure_and_not_tried_again(server: Server, answer: bytes) -> None:
    server.answers["/"] = lambda handler: handler.wfile.write(answer) and None

    with pytest.raises(RequestFailed, match=server.url):
        http_request(server.url)
    assert len(server.seen) == 1


# --- http_request: where it may go -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "0177.1", "[::ffff:127.0.0.1]", "127.1"]
)
def test_this_machine_is_out_of_reach_unless_allowed(server: Server, settings: Any, host: str) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"JOB_HTTP_ALLOWED_NETWORKS": []}

    with pytest.raises(AddressRefused, match="JOB_HTTP_ALLOWED_NETWORKS"):
        http_request(f"http://{host}:{server.server_port}/")
    assert server.seen == []


def test_a_name_with_public_and_internal_addresses_is_refused(
    server: Server, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"JOB_HTTP_ALLOWED_NETWORKS": []}
    resolves_to(monkeypatch, "93.184.215.14", "127.0.0.1")

    with pytest.raises(AddressRefused, match=r"example.com \(127.0.0.1\)"):
        http_request(f"http://example.com:{server.server_port}/")


def test_the_address_that_was_checked_is_the_one_connected_to(server: Server) -> None:
    server.answers["/"] = says()
    answers = iter([["127.0.0.1"], ["169.254.169.254"]])
    guard = Guard(allowed=["127.0.0.1/32"], timeout=60, clock=SystemClock(), resolver=lambda host: next(answers))

    response = get(f"http://example.com:{server.server_port}/", guard)

    assert response.status == 200
    assert server.seen[0][2]["Host"] == f"example.com:{server.server_port}"
    assert next(answers) == ["169.254.169.254"]


def test_the_next_address_is_tried_where_one_does_not_answer(server: Server) -> None:
    server.answers["/"] = says()

    assert get(f"http://example.com:{server.server_port}/", to("127.0.0.2", "127.0.0.1")).status == 200


def test_an_ipv6_address_can_be_asked(start: Callable[..., Server], settings: Any) -> None:
    if not HAS_IPV6:
        pytest.skip("needs IPv6")
    settings.CRONZIMUS = settings.CRONZIMUS | {"JOB_HTTP_ALLOWED_NETWORKS": ["::1/128"]}
    server = start(address="::1")
    server.answers["/"] = says()

    http_request(f"http://[::1]:{server.server_port}/")

    assert server.seen[0][2]["Host"] == f"[::1]:{server.server_port}"


def test_a_name_that_does_not_resolve_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*args: Any, **kwargs: Any) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)

    with pytest.raises(RequestFailed, match=r"example.com does not resolve: .*not known"):
        http_request("http://example.com/")


# --- http_request: redirects -----------------------------------------------------------------------------------------


def test_redirects_are_followed(server: Server) -> None:
    server.answers |= {"/": redirects("/a"), "/a": redirects(f"{server.url}/b", 308), "/b": says(b"here")}

    result = http_request(server.url)

    assert (result["body"], result["url"]) == ("here", f"{server.url}/b")


def test_redirects_without_end_are_a_failure(server: Server) -> None:
    server.answers["/"] = redirects("/")

    with pytest.raises(RequestFailed, match="more than 3 redirects"):
        http_request(server.url, max_redirects=3)
    assert len(server.seen) == 4


def test_a_redirect_that_is_expected_is_not_followed(server: Server) -> None:
    server.answers["/"] = redirects("http://10.0.0.1/")

    assert http_request(server.url, expected_status=302)["status"] == 302


@pytest.mark.parametrize(
    "location", ["http://169.254.169.254/latest", "//10.0.0.1/", "http://[::1]/", "http://2852039166/"]
)
def test_a_redirect_to_an_internal_address_is_refused(server: Server, location: str) -> None:
    server.answers["/"] = redirects(location)

    with pytest.raises(AddressRefused):
        http_request(server.url)


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "ftp://example.com/", "http://a@example.com/", "http://a b/"]
)
def test_a_redirect_to_what_is_no_target_is_a_failure(server: Server, location: str) -> None:
    server.answers["/"] = redirects(location)

    with pytest.raises(RequestFailed, match=r"redirected to .*, which must"):
        http_request(server.url)


@pytest.mark.parametrize(
    ("status", "method", "then"),
    [(301, "POST", "GET"), (302, "POST", "GET"), (303, "PUT", "GET"), (307, "POST", "POST"), (308, "PUT", "PUT"),
     (302, "DELETE", "DELETE"), (303, "HEAD", "HEAD")],
)  # fmt: skip
def test_a_redirect_changes_the_method_as_browsers_do(server: Server, status: int, method: str, then: str) -> None:
    server.answers |= {"/": redirects("/next", status), "/next": says()}

    http_request(server.url, method, json=1)

    second = server.seen[1]
    assert second[0] == then
    assert (second[3], "Content-Type" in second[2]) == (("", False) if then == "GET" else ("1", True))


def test_secrets_do_not_follow_a_redirect_to_another_server(server: Server, start: Callable[..., Server]) -> None:
    other = start()
    server.answers["/"] = redirects(f"{other.url}/")
    other.answers["/"] = says()

    http_request(server.url, headers={"Authorization": "secret", "X-Key": "secret", "Accept": "text/html"})

    assert server.seen[0][2]["X-Key"] == "secret"
    assert "secret" not in other.seen[0][2].values()
    assert other.seen[0][2]["Accept"] == "text/html"


# --- http_request: TLS -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not shutil.which("openssl"):
        skip_or_fail("no program openssl")
    path = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=example.com",
         "-addext", "subjectAltName=DNS:example.com", "-keyout", path / "pem.key", "-out", path / "pem"],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    return path / "pem"


@pytest.fixture
def secure(certificate: Path, start: Callable[..., Server]) -> Server:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    server = start(tls=context)
    context.sni_callback = lambda connection, name, _: server.seen.append(("SNI", str(name), {}, ""))
    return server


@pytest.fixture
def _trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = guard.tls_context.__wrapped__()
    context.load_verify_locations(certificate)
    monkeypatch.setattr(guard, "tls_context", lambda: context)


@pytest.mark.usefixtures("_trusted")
def test_a_certificate_is_checked_by_name_though_the_address_is_connected_to(secure: Server) -> None:
    secure.answers["/"] = says(b"secure")

    assert get(f"https://example.com:{secure.server_port}/", to("127.0.0.1")).body == b"secure"
    assert secure.seen[0][:2] == ("SNI", "example.com")


@pytest.mark.usefixtures("_trusted")
def test_a_certificate_of_another_name_is_refused(secure: Server) -> None:
    with pytest.raises(RequestFailed, match=r"certificate is not valid for 'example.org'"):
        get(f"https://example.org:{secure.server_port}/", to("127.0.0.1"))


def test_a_certificate_that_nobody_vouches_for_is_refused(secure: Server) -> None:
    with pytest.raises(RequestFailed, match="CERTIFICATE_VERIFY_FAILED"):
        get(f"https://example.com:{secure.server_port}/", to("127.0.0.1"))


@pytest.mark.usefixtures("_trusted")
def test_a_server_that_drips_over_tls_is_given_up_too(secure: Server) -> None:
    secure.answers["/"] = drips(b"HTTP/1.0 200 OK\r\n\r\n")

    with pytest.raises(RequestTimedOut):
        get(f"https://example.com:{secure.server_port}/", to("127.0.0.1", timeout=0.5))


def to(*addresses: str, timeout: float = 60) -> Guard:
    return Guard(allowed=["127.0.0.0/8"], timeout=timeout, clock=SystemClock(), resolver=lambda host: addresses)


def get(url: str, guard: Guard) -> Response:
    return fetch(HttpCall(url).request(), guard, expected=(200,), max_redirects=0)


# --- http_request: a cancelled run -----------------------------------------------------------------------------------


def context() -> RunContext:
    return RunContext(run_id=1, job_id="job", scheduled_time=datetime(2030, 1, 1, tzinfo=UTC), attempt=1)


def cancelled_after(run: RunContext, seconds: float, call: Callable[[], Any]) -> float:
    """Cancel `run` while `call` makes its request; check that it fails, and return the seconds that it took."""
    threading.Timer(seconds, run.request_cancel).start()
    began = time.monotonic()
    with pytest.raises(RequestFailed, match="the request was cancelled"):
        call()
    assert run.noticed_cancel
    return time.monotonic() - began


@pytest.mark.parametrize("beginning", [b"", b"HTTP/1.0 200 OK\r\n\r\n"])
def test_a_request_ends_when_its_run_is_cancelled(server: Server, beginning: bytes) -> None:
    server.answers["/"], run = drips(beginning), context()
    assert cancelled_after(run, 0.1, lambda: http_request(server.url, context=run)) < SOON


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_request_to_a_silent_server_ends_when_its_run_is_cancelled(scheme: str) -> None:
    run = context()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"{scheme}://127.0.0.1:{silent.getsockname()[1]}/"
        assert cancelled_after(run, 0.1, lambda: http_request(url, context=run)) < SOON


def test_a_request_that_waits_for_a_name_ends_when_its_run_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    run, answered = context(), threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: answered.wait(60))
    assert cancelled_after(run, 0.1, lambda: http_request("http://example.com/", context=run)) < SOON
    answered.set()


@pytest.mark.usefixtures("_trusted")
def test_a_request_over_tls_ends_when_its_run_is_cancelled(secure: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    secure.answers["/"], run = drips(b"HTTP/1.0 200 OK\r\n\r\n"), context()
    resolves_to(monkeypatch, "127.0.0.1")
    url = f"https://example.com:{secure.server_port}/"
    assert cancelled_after(run, 0.3, lambda: http_request(url, context=run)) < SOON


def test_a_request_is_not_made_for_a_run_that_is_cancelled_already(server: Server) -> None:
    run = context()
    run.request_cancel()
    with pytest.raises(RequestFailed, match="the request was cancelled"):
        http_request(server.url, context=run)
    assert server.seen == []


def test_a_run_that_is_cancelled_after_the_answer_has_its_result(server: Server) -> None:
    server.answers["/"], run = says(b"done"), context()
    assert http_request(server.url, context=run)["body"] == "done"
    run.request_cancel()
    assert not run.noticed_cancel


# --- http_request: when a job is saved -------------------------------------------------------------------------------


def test_good_arguments_can_be_saved_and_nothing_is_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "getaddrinfo")

    assert check("http_request", "https://example.com/hook", method="POST", json={"a": 1}, timeout=5) == ""


@pytest.mark.parametrize("url", ["http://10.0.0.1/", "http://169.254.169.254/latest/", "http://[::1]:8000/"])
def test_an_internal_address_is_refused_when_the_job_is_saved(url: str) -> None:
    assert "is neither public nor in a network of JOB_HTTP_ALLOWED_NETWORKS" in check("http_request", url)


def test_bad_arguments_are_refused_when_the_job_is_saved_and_when_it_runs() -> None:
    assert "url: must begin with http" in check("http_request", url="ftp://example.com/")
    assert "missing a required argument: 'url'" in check("http_request")
    with pytest.raises(ValueError, match="headers: X-A must have one line"):
        http_request("http://example.com/", headers={"X-A": "a\r\nX-B: b"})
