"""The files for a server name only existing series of /metrics, settings, paths, programs and addresses."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml
from django.urls import resolve

from jobs import __version__
from jobs.api.views.health import ProbeView

ROOT = Path(__file__).parents[2]
SERIES = set(re.findall(r'"(cronzimus_\w+)"', (ROOT / "jobs/selectors/metrics.py").read_text()))


def known(expression: str) -> set[str]:
    found = set(re.findall(r"\bcronzimus_\w+", expression))
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in found}


def expressions() -> list[str]:
    dashboard = json.loads((ROOT / "deploy/grafana.json").read_text())
    rules = yaml.safe_load((ROOT / "deploy/prometheus.rules.yml").read_text())
    return [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]] + [
        rule["expr"] for group in rules["groups"] for rule in group["rules"]
    ]


@pytest.mark.parametrize("expression", expressions())
def test_every_expression_names_series_that_there_are(expression: str) -> None:
    names = known(expression)
    assert names
    assert names <= SERIES | {"cronzimus_runs_total"}


def checked(*command: str) -> str:
    """Run a program that checks our files, and return what it printed. The test is skipped where it is not there."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"needs {command[0]}")
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_promtool_accepts_the_alert_rules() -> None:
    checked("promtool", "check", "rules", str(ROOT / "deploy/prometheus.rules.yml"))


def test_every_series_is_documented() -> None:
    text = (ROOT / "docs/metrics.md").read_text()
    assert not [name for name in SERIES if name not in text]


# --- containers ------------------------------------------------------------------------------------------------------

DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())
CHART = ROOT / "deploy" / "helm" / "cronzimus"
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
TEMPLATES = sorted((CHART / "templates").iterdir())
SETTINGS = set(re.findall(r"^\| `([A-Z_]+)` \|", (ROOT / "docs/settings.md").read_text(), flags=re.M))
PROGRAMS = ["celery", "gunicorn", "python"]
"""The image's own programs: those of the virtual environment."""


def copied() -> list[str]:
    """Return the paths that the Dockerfile copies from the repository."""
    lines = re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, flags=re.M)
    return [name for line in lines for name in line.split()[:-1]]


@pytest.mark.parametrize("name", copied())
def test_what_the_image_copies_is_there_and_in_its_context(name: str) -> None:
    assert (ROOT / name).exists()
    assert f"!{name}" in (ROOT / ".dockerignore").read_text().splitlines()


def test_no_secret_and_no_database_gets_into_the_context_of_the_image() -> None:
    assert (ROOT / ".dockerignore").read_text().splitlines()[1] == "*"


def test_the_image_runs_as_a_user_who_is_nobody() -> None:
    assert "USER 10001:10001" in DOCKERFILE
    assert "--uid 10001" in DOCKERFILE


def probed() -> set[str]:
    """Return the addresses that containers are probed at."""
    found = set(re.findall(r"'GET', '(/[\w/]+)'", DOCKERFILE))
    for template in TEMPLATES:
        found |= set(re.findall(r"httpGet: \{path: (/[\w/]+),", template.read_text()))
    return found


@pytest.mark.parametrize("address", sorted(probed()))
def test_probes_ask_addresses_that_answer_whatever_the_host_is(address: str) -> None:
    assert issubclass(resolve(address).func.cls, ProbeView)  # type: ignore[attr-defined]


def test_a_process_and_its_readiness_are_probed() -> None:
    assert probed() == {"/api/health", "/api/health/live"}


class Answer(BaseHTTPRequestHandler):
    """Answers every request with the status in its server's attribute `status`."""

    def do_GET(self) -> None:
        self.send_response(self.server.status)  # type: ignore[attr-defined]
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        """Print nothing."""


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1), (301, 1)])
def test_the_image_is_healthy_while_the_web_answers_whatever_proxy_the_environment_names(
    status: int, code: int
) -> None:
    words = json.loads(re.findall(r"^HEALTHCHECK .*CMD (\[.+\])$", DOCKERFILE, flags=re.M)[0])
    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        server.status = status  # type: ignore[attr-defined]
        Thread(target=server.serve_forever, daemon=True).start()
        probe = words[2].replace("5000", str(server.server_port)).replace("timeout=4", "timeout=30")
        environment = {"http_proxy": "http://127.0.0.1:9"}
        done = subprocess.run([sys.executable, "-c", probe], env=environment, timeout=60, check=False)
        server.shutdown()
    assert words[:2] == ["python", "-c"]
    assert done.returncode == code


def ours() -> list[dict[str, Any]]:
    """Return the services with our own image."""
    return [service for service in COMPOSE["services"].values() if service["image"] == "cronzimus"]


def commands() -> Iterator[list[str]]:
    """Yield the command of each container."""
    yield json.loads(re.findall(r"^CMD (\[.+\])$", DOCKERFILE, flags=re.M)[0])
    yield from (service["command"] for service in ours() if "command" in service)
    yield VALUES["web"]["args"]
    yield VALUES["scheduler"]["args"]
    yield VALUES["worker"]["args"]


@pytest.mark.parametrize("command", [*commands()], ids=" ".join)
def test_containers_start_programs_that_the_image_has(command: list[str]) -> None:
    assert command[0] in PROGRAMS
    if command[0] == "python":
        assert command[1] in copied()
        assert command[2] in ("migrate", "runscheduler")


def settings_of_containers() -> set[str]:
    names = {name for service in ours() for name in service["environment"]} | set(VALUES["env"])
    return names | set(re.findall(r"\b[A-Z][A-Z_]{4,}\b", (CHART / "values.yaml").read_text()))


def test_containers_are_given_settings_that_there_are() -> None:
    assert settings_of_containers() <= SETTINGS
    assert {"DATABASE_URL", "SECRET_KEY"} <= settings_of_containers()


def test_the_compose_file_has_a_database_a_web_and_two_schedulers_on_a_read_only_system() -> None:
    services = COMPOSE["services"]
    assert services["scheduler"]["deploy"]["replicas"] == 2
    for name in ("migrate", "web", "scheduler", "worker"):
        assert services[name]["read_only"] is True
        assert services[name]["cap_drop"] == ["ALL"]
    assert services["web"]["ports"] == ["127.0.0.1:5000:5000"]


@pytest.mark.parametrize(("name", "seconds"), [("scheduler", 40), ("worker", 60)])
def test_what_executes_runs_is_given_time_to_stop(name: str, seconds: int) -> None:
    assert COMPOSE["services"][name]["stop_grace_period"] == f"{seconds}s"
    assert f"terminationGracePeriodSeconds: {seconds}" in (CHART / f"templates/{name}.yaml").read_text()
    assert f"TimeoutStopSec={seconds}" in (ROOT / f"deploy/systemd/cronzimus-{name}@.service").read_text()


def test_workers_are_started_where_they_are_asked_for_alone() -> None:
    services = COMPOSE["services"]
    assert {name for name, service in services.items() if "profiles" in service} == {"redis", "worker"}
    assert VALUES["worker"]["replicas"] == 0


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_templates_name_values_that_the_chart_has(template: Path) -> None:
    for path in re.findall(r"\$?\.Values\.([\w.]+)", template.read_text()):
        found: Any = VALUES
        for part in path.split("."):
            assert part in found, f".Values.{path}"
            found = found[part]


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_what_a_template_begins_it_ends(template: Path) -> None:
    words = re.findall(r"\{\{-?\s*(if|with|range|define|end)\b", template.read_text())
    assert words.count("end") == len(words) - words.count("end")
    assert template.read_text().count("{{") == template.read_text().count("}}")


@pytest.mark.parametrize("template", [path for path in TEMPLATES if path.suffix == ".yaml"], ids=lambda path: path.name)
def test_a_template_is_yaml_with_its_parts_left_out(template: Path) -> None:
    text = re.sub(r"^\s*\{\{.*\}\}\n", "", template.read_text(), flags=re.M)
    for document in yaml.safe_load_all(re.sub(r"\{\{.*?\}\}", "x", text)):
        assert {"apiVersion", "kind", "metadata", "spec"} <= document.keys()


def test_templates_include_what_the_helpers_define() -> None:
    texts = "\n".join(template.read_text() for template in TEMPLATES)
    defined = set(re.findall(r'define "([\w.]+)"', texts))
    assert set(re.findall(r'include "([\w.]+)"', texts)) == defined


def test_the_chart_has_the_version_of_the_product() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)


def test_helm_accepts_the_chart() -> None:
    checked("helm", "lint", "--strict", str(CHART))


@pytest.mark.parametrize(
    ("setting", "kinds"),
    [
        ("migrate.enabled=true", {"Deployment", "Job", "PodDisruptionBudget", "Service"}),
        ("worker.replicas=2", {"Deployment", "Job", "PodDisruptionBudget", "Service"}),
        ("migrate.enabled=false", {"Deployment", "PodDisruptionBudget", "Service"}),
        ("ingress.enabled=true,ingress.tlsSecret=x,ingress.className=nginx",
         {"Deployment", "Ingress", "Job", "PodDisruptionBudget", "Service"}),
        ("env.ODD=a: b # \"c\"", {"Deployment", "Job", "PodDisruptionBudget", "Service"}),
        ("podAnnotations.a=1,nodeSelector.b=2,image.pullSecrets[0]=c",
         {"Deployment", "Job", "PodDisruptionBudget", "Service"}),
    ],
)  # fmt: skip
def test_helm_makes_objects_of_the_chart(setting: str, kinds: set[str]) -> None:
    text = checked("helm", "template", "x", str(CHART), "--kube-version=1.30.0", f"--set={setting}")
    assert {made["kind"] for made in yaml.safe_load_all(text) if made} == kinds


def test_nginx_passes_the_host_with_its_port_and_leaves_the_path_as_it_came() -> None:
    example = (ROOT / "deploy" / "nginx.conf.example").read_text()
    assert "proxy_set_header Host $http_host;" in example  # a login from another port than 443 is refused otherwise
    assert re.search(r"proxy_pass http://[\d.]+:\d+;", example)
