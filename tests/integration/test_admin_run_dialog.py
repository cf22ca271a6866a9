"""A job is run with other arguments: an input for each parameter, filled with the job's own or with those of a run."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from jobs import Database, register
from jobs.admin.jobs import arguments
from jobs.functions import registry
from jobs.models import Run
from tests.fakes import after, make_job, make_run
from tests.integration.admin_support import JOBS, RUNS, Admin, admin_fixture, at_noon_fixture, messages, text  # noqa: F401

pytestmark = pytest.mark.any_database

DIALOG = f"{JOBS}job/run-with/"


@pytest.fixture(autouse=True)
def function(monkeypatch):
    """A function with parameters of each kind."""
    monkeypatch.setattr(registry, "_functions", dict(registry._functions))

    @register("tests:typed")
    def typed(
        index: str, size: int = 500, full: bool = False, share: float | None = None, mode: Literal["a", "b"] = "a",
        more: Any = None, database: Database | None = None, **rest: int,
    ) -> None:  # fmt: skip
        """Write the index."""

    @register("tests:secretive")
    def secretive(index: str, api_token: str) -> None:
        """Call somebody."""

    @register("tests:positional")
    def positional(first: int, /, second: int = 2, *others: str) -> None:
        """Take positions."""


def job(**fields):
    return make_job(**{"func": "tests:typed", "kwargs": {"index": "products"}, **fields})


def run_with(admin, **data):
    return admin.client.post(DIALOG, {"typed": "tests:typed", **{f"arg-{name}": value for name, value in data.items()}})


def last() -> tuple[Any, Any]:
    run = Run.objects.latest("pk")
    return run.args, run.kwargs


def test_each_parameter_has_an_input_of_its_type_with_what_the_job_says(admin):
    job(kwargs={"index": "products", "full": True, "size": 7})
    page = admin.read(DIALOG)
    assert '<input type="text" name="arg-index" id="id_arg-index" value="products"' in page
    assert '<input type="number" name="arg-size" id="id_arg-size" value="7" class="short" step="1">' in page
    assert '<input type="checkbox" name="arg-full" value="yes" checked>' in page
    assert '<option value="&quot;b&quot;">b</option>' in page
    shown = text(page)
    assert "500 if left empty." in shown
    assert "database Filled in when it runs." in shown
    assert "Write the index." in shown


def test_it_runs_with_what_was_sent_and_leaves_the_job_as_it_is(admin):
    stored = job()
    response = run_with(admin, index="pages", size="", full="yes", share="0.5", mode='"b"', more='{"a": 1}', rest="")
    run = Run.objects.get()
    assert run.kwargs == {"index": "pages", "full": True, "share": 0.5, "mode": "b", "more": {"a": 1}}
    assert (run.trigger, run.actor) == ("manual", "root")
    assert response["Location"] == f"{RUNS}{run.pk}/change/"
    stored.refresh_from_db()
    assert stored.kwargs == {"index": "products"}


def test_what_is_left_as_it_was_is_sent_as_it_is_stored(admin):
    job(args=["products"], kwargs={"size": 7.0})
    run_with(admin, index="products", size="7.0")
    assert last() == (["products"], {"size": 7.0})


def test_positions_are_kept_where_the_signature_has_no_names(admin):
    make_job(func="tests:positional", args=[1])
    data = {"typed": "tests:positional", "arg-first": "3", "arg-second": "", "arg-others": '["x"]'}
    admin.client.post(DIALOG, data)
    assert last() == ([3, 2, "x"], {})


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("size", "1.5", "Must be a whole number"), ("share", "much", "Must be a number"), ("more", "{", "Must be JSON"),
        ("rest", "[1]", "Must be a JSON object"), ("size", "true", "Must be a whole number"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_at_its_input_and_nothing_runs(admin, name, value, said):
    job()
    page = run_with(admin, **{"index": "x", name: value}).content.decode()
    assert f'id="error_arg-{name}">{said}' in page
    assert not Run.objects.exists()


def test_what_the_services_refuse_is_said(admin):
    job()
    page = run_with(admin, index="x", rest='{"database": 1}').content.decode()
    assert "filled in when the job runs" in page
    assert not Run.objects.exists()


def test_a_value_of_another_type_than_the_signature_has_is_kept_as_json(admin):
    job(kwargs={"index": ["a"], "size": "many"})
    page = admin.read(DIALOG)
    assert "[&quot;a&quot;]" in page
    run_with(admin, index='["a"]', size='"few"')
    assert last()[1] == {"index": ["a"], "size": "few"}


def test_what_looks_like_a_secret_is_not_shown_and_stays_as_it_is(admin):
    job(kwargs={"index": "a", "api_token": "hunter2hunter2"}, func="tests:secretive")
    page = admin.read(DIALOG)
    assert "hunter2" not in page
    assert '<input type="password" name="arg-api_token" id="id_arg-api_token" value=""' in page
    data = {"typed": "tests:secretive", "arg-index": "b", "arg-api_token": ""}
    admin.client.post(DIALOG, data)
    assert last()[1] == {"index": "b", "api_token": "hunter2hunter2"}
    admin.client.post(DIALOG, {**data, "arg-api_token": "another"})
    assert last()[1]["api_token"] == "another"


def test_who_may_run_a_job_and_not_change_it_runs_it_with_its_secrets(at_noon):
    job(kwargs={"index": "a", "api_token": "hunter2hunter2"}, func="tests:secretive")
    operator = Admin("view_job", "run_job", "view_run")
    assert "hunter2" not in operator.read(DIALOG)
    for index in ("a", "b"):
        data = {"typed": "tests:secretive", "arg-index": index, "arg-api_token": ""}
        operator.client.post(DIALOG, data)
        assert last()[1] == {"index": index, "api_token": "hunter2hunter2"}


def test_it_is_filled_as_last_time_or_as_a_run_was(admin):
    job()
    run = make_run(trigger="manual", kwargs={"index": "old"}, scheduled_time=after(-60))
    make_run(kwargs={"index": "newer"}, scheduled_time=after(-30))
    assert 'value="products"' in admin.read(DIALOG)
    for wanted in ("last", run.pk):
        page = admin.read(DIALOG, **{"as": wanted})
        assert 'value="old"' in page
        assert f"as run {run.pk}" in text(page)
    for strange in ("x", "9" * 30, make_run("other", kwargs={"index": "other"}).pk):
        assert 'value="products"' in admin.read(DIALOG, **{"as": strange})


def test_a_job_whose_function_is_gone_cannot_be_run(admin):
    job(func="os:system")
    assert "os:system is not a registered function" in text(admin.read(DIALOG))
    run_with(admin)
    assert not Run.objects.exists()


@pytest.mark.parametrize("permissions", [("view_job",), ("run_job",), ("view_job", "change_job")])
def test_it_needs_the_permissions_to_see_and_to_run(at_noon, permissions):
    job()
    staff = Admin(*permissions)
    assert staff.client.get(DIALOG).status_code == 403
    assert run_with(staff, index="x").status_code == 403
    assert not Run.objects.exists()


def test_a_form_of_another_site_is_refused(at_noon):
    job()
    assert run_with(Admin(superuser=True, csrf=True), index="x").status_code == 403


def test_the_page_says_what_is_active(admin):
    job()
    make_run(status="running", started_at=after(-1))
    assert "1 of its runs is active. At most 1 may be active at once" in text(admin.read(DIALOG))


def test_every_registered_function_has_inputs(db):
    for known in registry.functions():
        assert [one.name for one in arguments.inputs_of(known, [], {})] == list(known.arguments.parameters)
