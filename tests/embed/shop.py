"""The shop: its processes, its addresses, and a browser's cookies."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

from tests.waiting import until

EMAIL, PASSWORD = "ada.the.first.of.all.who.program@department.of.analytical.engines.example.com", "correct horse"
"""The operator of the shop."""


class Shop:
    """A project on a database of its own, whose processes run with the Python of an environment."""

    def __init__(self, python: Path, folder: Path, database: dict[str, str]) -> None:
        """Lay its files into `folder`; `database` are the variables that its settings read."""
        self.python = python
        self.folder = folder
        self.code = shutil.copytree(Path(__file__).parent / "host", folder / "code")
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "SHOP_FOLDER": str(folder), **database}
        self.processes: list[subprocess.Popen[bytes]] = []
        self.port = 0

    def manage(self, *command: str, status: int = 0, **environment: str) -> str:
        """Run a command of `manage.py`, and return what it printed."""
        result = subprocess.run(
            [str(self.python), str(self.code / "manage.py"), *command], env={**self.environment, **environment},
            cwd=self.folder, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert result.returncode == status, f"{command}: {result.returncode}\n{result.stdout}\n{result.stderr}"
        return result.stdout

    def set_up(self) -> None:
        """Make the tables, and the operator."""
        self.manage("migrate", "--verbosity=0")
        self.manage("migrate", "--verbosity=0", "--database=archive")
        self.manage("createsuperuser", "--noinput", f"--email={EMAIL}", DJANGO_SUPERUSER_PASSWORD=PASSWORD)

    def start(self, *command: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start a command of `manage.py`, in a folder that is not the project's."""
        manage = (str(self.python), str(self.code / "manage.py"))
        return self._start(command[0], (*manage, *command), self.folder, environment)

    def start_worker(self, *options: str) -> subprocess.Popen[bytes]:
        """Start a worker, in the folder of the project's code, which Celery puts on the import path."""
        command = (str(self.python.with_name("celery")), "-A", "cronzimus.worker.app", "worker", *options)
        return self._start("worker", command, self.code / "src", {"DJANGO_SETTINGS_MODULE": "shop.settings"})

    def _start(
        self, name: str, command: Sequence[str], folder: Path, environment: dict[str, str]
    ) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command, env={**self.environment, **environment}, cwd=folder, stdin=subprocess.DEVNULL, stdout=log,
                stderr=log,
            )  # fmt: skip
        self.processes.append(process)
        return process

    def serve(self, **environment: str) -> None:
        """Start the web."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.start("runserver", "--noreload", "--insecure", f"127.0.0.1:{self.port}", **environment)
        until(lambda: self.get("/ops/api/health").status == 200)

    def log(self, command: str) -> str:
        """Return the output of a started command."""
        return (self.folder / f"{command}.log").read_text(errors="replace")

    def end(self) -> None:
        """End all processes."""
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def get(self, path: str, **headers: str) -> Answer:
        """Ask without a token and without cookies."""
        return Client(self).ask("GET", path, **headers)


class Answer:
    """An answer of the shop."""

    def __init__(self, status: int, headers: Any, body: bytes, url: str) -> None:
        """Keep it."""
        self.status, self.headers, self.url = status, headers, url
        self.text = body.decode(errors="replace")

    def json(self) -> Any:
        """Return the JSON of the body."""
        return json.loads(self.text)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any) -> None:
        return None


class Client:
    """A client with a token, or with the cookies of a browser."""

    def __init__(self, shop: Shop, token: str = "", *, follow: bool = True) -> None:
        """Talk to `shop`; without `follow`, redirects are answers."""
        self.shop = shop
        self.token = token
        self.cookies = CookieJar()
        handlers: list[Any] = [urllib.request.HTTPCookieProcessor(self.cookies)]
        self._opener = urllib.request.build_opener(*handlers, *([] if follow else [_NoRedirects()]))

    def ask(self, method: str, path: str, data: Any = None, **headers: str) -> Answer:
        """Return the answer; `data` is sent as JSON, a dictionary of texts under `form` as a form."""
        body = None if data is None else json.dumps(data).encode()
        if data is not None:
            headers = {"Content-Type": "application/json", **headers}
        return self._send(method, path, body, headers)

    def submit(self, path: str, **fields: str) -> Answer:
        """Send a form, as a browser does that has seen the page before."""
        token = next((cookie.value for cookie in self.cookies if cookie.name == "csrftoken"), "") or ""
        body = urllib.parse.urlencode({**fields, "csrfmiddlewaretoken": token}).encode()
        return self._send("POST", path, body, {"Content-Type": "application/x-www-form-urlencoded"})

    def log_in(self, site: str = "/admin/") -> None:
        """Log in to an admin site."""
        self.ask("GET", f"{site}login/")
        self.submit(f"{site}login/", username=EMAIL, password=PASSWORD, next=site)
        assert any(cookie.name == "sessionid" for cookie in self.cookies)

    def _send(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        if self.token:
            headers = {"Authorization": f"Token {self.token}", **headers}
        address = path if path.startswith("http") else f"http://127.0.0.1:{self.shop.port}{path}"
        request = urllib.request.Request(address, body, headers, method=method)  # noqa: S310
        try:
            with self._opener.open(request, timeout=30) as answer:
                return Answer(answer.status, answer.headers, answer.read(), answer.url)
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.headers, error.read(), error.url)
        except OSError as error:
            return Answer(0, {}, str(error).encode(), address)


def form_of(page: str) -> dict[str, str]:
    """Return the data that a browser would send from the first form of a job on a page."""
    fields: dict[str, str] = {}
    for tag in re.findall(r"<input[^>]*>", page):
        attributes = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
        kind, name = attributes.get("type", "text"), attributes.get("name")
        ticked = kind not in ("checkbox", "radio") or re.search(r"\bchecked\b", tag)
        if name and kind not in ("submit", "button") and ticked:
            fields[name] = attributes.get("value", "on" if kind == "checkbox" else "")
    for name, options in re.findall(r'<select[^>]*name="([^"]+)"[^>]*>(.*?)</select>', page, flags=re.S):
        chosen = re.search(r'<option value="([^"]*)"[^>]*\bselected', options)
        first = re.search(r'<option value="([^"]*)"', options)
        fields[name] = (chosen or first or [None, ""])[1]
    for name, text in re.findall(r'<textarea[^>]*name="([^"]+)"[^>]*>(.*?)</textarea>', page, flags=re.S):
        fields[name] = text.strip()
    return fields
