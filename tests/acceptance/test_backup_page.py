"""docs/backup.md, tried as written: what it backs up is there after the restore, and moves to PostgreSQL."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import skip_or_fail
from tests.waiting import until

from .conftest import Databases
from .support import ROOT, Site

pytestmark = pytest.mark.slow

MakeSite = Callable[[str], Site]
PAGE = (ROOT / "docs" / "backup.md").read_text()


def blocks(heading: str) -> list[str]:
    """Return the blocks of commands below a heading."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"```sh\n(.*?)```", section, flags=re.S)


def follow(site: Site, script: str, url: str | None = None) -> None:
    """Run commands of the page on `site`: with its folders, as this user, and without systemd."""
    for old, new in (
        ("runuser -u cronzimus -- ", ""), ("/var/backups", str(site.folder)), ("data/", f"{site.folder}/"),
        (".venv/bin/python", sys.executable), ("-o cronzimus -g cronzimus ", ""), ("/etc/cronzimus.env", "/dev/null"),
    ):  # fmt: skip
        script = script.replace(old, new)
    (umask,) = re.findall(r"^umask .*$", PAGE, flags=re.M)
    script = f"{umask}\n{re.sub(r'^systemctl.*$', '', script, flags=re.M)}"
    binaries = ":".join(map(str, Path("/usr/lib/postgresql").glob("*/bin")))
    environment = {**site.environment, "PATH": f"{binaries}:{os.environ['PATH']}", "DATABASE_URL": url or site.url}
    subprocess.run(["bash", "-e", "-c", script], cwd=ROOT, env=environment, check=True, timeout=120)


def with_history(make_site: MakeSite, vendor: str) -> Site:
    """Return a site on which a job has run."""
    if vendor == "postgresql" and shutil.which("pg_dump") is None and not Path("/usr/lib/postgresql").exists():
        skip_or_fail("no pg_dump")
    site = make_site(vendor)
    site.jobs = [site.job("job")]
    scheduler = site.scheduler()
    until(lambda: "succeeded" in site.statuses("job"), 30, "a run")
    scheduler.send(15)
    assert scheduler.wait(20) == 0
    return site


@pytest.mark.parametrize(
    ("vendor", "heading"),
    [("sqlite", "SQLite"), pytest.param("postgresql", "PostgreSQL", marks=pytest.mark.postgresql)],
)
def test_a_backup_comes_back(make_site: MakeSite, vendor: str, heading: str) -> None:
    site = with_history(make_site, vendor)
    before = site.query("SELECT id, job_id, status FROM cronzimus_run ORDER BY id")
    backup, restore = blocks(heading)
    for _ in range(2):  # a backup replaces the one before
        follow(site, backup)
    (made,) = (path for path in site.folder.iterdir() if path.name in ("backup.sqlite3", "cronzimus.dump"))
    assert made.stat().st_mode & 0o077 == 0
    removed = site.start(
        "manage.py",
        "shell",
        "-c",
        "from jobs.models import Run, Job; Run.objects.all().delete(); Job.objects.all().delete()",
    )
    assert removed.wait(60) == 0
    assert site.rows() == []
    follow(site, restore)
    assert site.query("SELECT id, job_id, status FROM cronzimus_run ORDER BY id") == before
    site.scheduler()
    until(lambda: len(site.rows()) > len(before), 30, "a run after the restore")


@pytest.mark.postgresql
def test_sqlite_moves_to_postgresql(make_site: MakeSite, databases: Databases) -> None:
    site = with_history(make_site, "sqlite")
    target = make_site("postgresql")
    runs = site.query("SELECT id, job_id, status FROM cronzimus_run ORDER BY id")
    user = site.start(
        "manage.py",
        "createsuperuser",
        "--noinput",
        "--username=ada",
        "--email=a@example.com",
        DJANGO_SUPERUSER_PASSWORD="x",
    )
    assert user.wait(60) == 0
    assert site.start("manage.py", "createtoken", "ada").wait(60) == 0
    dump, load = blocks("From SQLite to PostgreSQL")
    follow(site, dump)
    follow(site, load, target.url)
    assert target.query("SELECT id, job_id, status FROM cronzimus_run ORDER BY id") == runs
    assert target.query("SELECT u.username FROM cronzimus_token t JOIN auth_user u ON u.id = t.user_id") == [("ada",)]
    target.jobs, target.marks_file = site.jobs, site.marks_file
    target.scheduler()
    until(lambda: len(target.rows()) > len(runs), 30, "a run on PostgreSQL")
