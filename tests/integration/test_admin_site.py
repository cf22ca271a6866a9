"""The admin's front page, the schedulers and the tokens."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import User

from jobs import services
from jobs.models import AuditEvent, Scheduler, Token
from jobs.selectors import backlog
from jobs.services.tokens import digest_of, find_token
from tests.fakes import NOW, after, make_job, make_jobs, make_run, make_scheduler, make_token, make_worker
from tests.integration.admin_support import (  # noqa: F401
    JOBS,
    RUNS,
    SCHEDULERS,
    TOKENS,
    Admin,
    admin_fixture,
    at_noon_fixture,
    cell,
    messages,
    problems,
    text,
)

pytestmark = pytest.mark.any_database


def test_people_see_one_list_of_jobs_and_one_of_runs(admin):
    make_job()
    page = admin.read("/admin/")
    for path in (
        "/admin/cronzimus/job/",
        "/admin/cronzimus/run/",
        "/admin/cronzimus/scheduler/",
        "/admin/cronzimus/token/",
    ):
        assert f'href="{path}"' in page
    assert "django_apscheduler" not in page


@pytest.mark.parametrize(
    "path",
    ["/admin/", JOBS, f"{JOBS}job/change/", f"{JOBS}job/edit/", f"{JOBS}upcoming/", RUNS, f"{RUNS}timeline/", TOKENS],
)
def test_pages_are_compressed(admin, path):
    make_job()
    response = admin.client.get(path, headers={"Accept-Encoding": "gzip"})
    assert (response.status_code, response["Content-Encoding"]) == (200, "gzip")


def test_the_way_to_the_admin_needs_no_slash(admin):
    assert admin.client.get("/admin")["Location"] == "/admin/"


def test_the_site_has_its_name(admin):
    page = admin.read("/admin/")
    assert "<title>Overview · Cronzimus</title>" in page
    assert "Django administration" not in page
    assert "View site" not in page


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({"lease_until": after(1)}, "alive"),
        ({"lease_until": NOW}, "dead"),
        ({"lease_until": after(1), "stopped_at": NOW}, "stopped"),
        ({"drained_at": NOW, "drained_by": "ana"}, "drained by ana"),
        ({"drained_at": NOW, "drained_by": "ana", "running_runs": 1}, "draining by ana"),
    ],
)
def test_a_scheduler_is_alive_dead_stopped_or_drained(admin, fields, state):
    make_scheduler(**fields)
    assert cell(admin.read(SCHEDULERS), "state") == state
    assert state.partition(" ")[0] in text(admin.read(f"{SCHEDULERS}s1/change/"))


def test_a_scheduler_is_drained_and_let_claim_again(admin):
    make_scheduler()
    drained = admin.send(f"{SCHEDULERS}s1/drain/")
    assert messages(drained)[0].startswith("Drained: s1; it claims nothing more")
    assert "The only scheduler is drained: jobs will not fire." in text(drained.content.decode())
    assert Scheduler.objects.get().drained_by == "root"
    assert "Claim again" in text(drained.content.decode())
    admin.send(f"{SCHEDULERS}s1/resume/")
    assert Scheduler.objects.get().drained_at is None


def test_a_scheduler_that_has_stopped_cannot_be_drained(admin):
    make_scheduler(stopped_at=NOW)
    assert "is running" in messages(admin.send(f"{SCHEDULERS}s1/drain/"))[0]


def test_draining_needs_the_permission_to_pause_everything(at_noon):
    make_scheduler()
    viewer = Admin("view_scheduler")
    assert "Drain" not in text(viewer.read(SCHEDULERS))
    assert viewer.send(f"{SCHEDULERS}s1/drain/").status_code == 403
    assert Scheduler.objects.get().drained_at is None


@pytest.mark.parametrize(("skew", "said"), [(1.9, ""), (2.5, "2.5 s ahead of"), (-75, "1 m 15 s behind")])
def test_a_clock_that_is_off_is_told(admin, skew, said):
    make_scheduler(clock_skew=skew)
    page = text(admin.read(SCHEDULERS))
    assert ("The clock of host is" in page) == bool(said)
    assert said in page


def test_the_workers_and_their_load_stand_below_the_schedulers(admin, settings):
    settings.CRONZIMUS = settings.CRONZIMUS | {"CELERY_BROKER_URL": "redis://host/0"}
    assert "No worker has reported." in text(admin.read(SCHEDULERS))
    make_worker("w1", name="reports@host", running_runs=1)
    make_worker("w2", lease_until=NOW)
    make_worker("w3", slots=0, stopped_at=NOW)
    make_worker("w4", slots=0, running_runs=1)
    make_worker("w5", slots=0, queues=[])
    page = text(admin.read(SCHEDULERS))
    assert "Schedulers and workers" in page
    assert "reports@host version 0 alive now reports 1 of 2" in page
    assert "w2 version 0 dead" in page
    assert "w3 version 0 stopped now reports 0 now" in page
    assert "w4 version 0 draining now reports 1 now" in page
    assert "w5 version 0 no process now" in page
    assert page.index("w3 version") > page.index("w4 version"), "the running ones first"


def test_schedulers_and_workers_with_another_broker_are_named(admin, settings):
    settings.CRONZIMUS = settings.CRONZIMUS | {"CELERY_BROKER_URL": "redis://anna:secret@host"}
    here = {"broker": "redis://host:6379/0"}
    make_scheduler("s1", **here)
    make_scheduler("s2", broker="redis://host:6379/1", stopped_at=NOW)
    make_worker("w1", **here)
    make_worker("w2", broker="redis://host:6379/1", lease_until=NOW)
    make_worker("w3")
    assert "Different brokers" not in text(admin.read(SCHEDULERS))
    make_scheduler("s3", broker="redis://host:6379/1")
    make_worker("w4", name="reports@far", broker="amqp://mq:5672//")
    page = text(admin.read(SCHEDULERS))
    assert (
        "Different brokers : This process uses the broker redis://host:6379/0, but s3 uses redis://host:6379/1, "
        "reports@far uses amqp://mq:5672//. Unless these are names of one broker" in page
    )
    assert "secret" not in page
    assert "Broker redis://host:6379/1" in text(admin.read(f"{SCHEDULERS}s3/change/"))


def test_without_a_broker_there_is_no_word_of_workers(admin):
    make_worker("w1")
    assert "orkers" not in text(admin.read(SCHEDULERS))


def test_more_schedulers_cost_no_more_queries(admin, statements):
    counts = []
    for number in range(2):
        make_scheduler(f"s{number}")
        with statements() as made:
            admin.read(SCHEDULERS)
        counts.append(len(made))
    assert counts[0] == counts[1] <= 16


def test_the_list_of_schedulers_shows_the_heartbeats_age_and_the_work(admin):
    make_scheduler(heartbeat_at=after(-4), threads=10, queued_runs=2, running_runs=3)
    page = admin.read(SCHEDULERS)
    assert cell(page, "heartbeat") == "4 s ago"
    assert cell(page, "load") == "3 of 10 2 queued"


def test_the_schedulers_page_names_schedulers_with_other_time_zone_data(admin):
    make_scheduler("same")
    make_scheduler("old", zone_data="2019a")
    make_scheduler("unknown", zone_data="")
    make_scheduler("gone", zone_data="2018a", stopped_at=NOW)
    page = text(admin.read("/admin/cronzimus/scheduler/"))
    assert "old uses 2019a, unknown uses an unknown version." in page
    for name in ("old", "unknown"):
        Scheduler.objects.get(pk=name).delete()
    assert "Different time zone data" not in text(admin.read("/admin/cronzimus/scheduler/"))


def test_the_schedulers_page_shows_that_nothing_waits(admin):
    assert "Due jobs none Waiting runs none" in text(admin.read(SCHEDULERS))


def test_the_schedulers_page_shows_what_waits_and_for_how_long(admin):
    make_job(next_run_time=after(-90))
    make_job("b")
    make_run(queued_at=after(-2.5))
    page = text(admin.read(SCHEDULERS))
    assert "Due jobs 2 the oldest for 1 m 30 s Waiting runs 1 the oldest for 2.5 s" in page


def test_the_schedulers_page_counts_no_further_than_people_need_to_know(admin, monkeypatch):
    monkeypatch.setattr(backlog, "MAX_COUNTED", 2)
    make_jobs(3)
    assert "Due jobs 2 or more the oldest for 0 ms" in text(admin.read(SCHEDULERS))


@pytest.mark.parametrize("name", ["q", "job", "id", "state", "status", "since", "p", "o"])
@pytest.mark.parametrize("path", [JOBS, RUNS, SCHEDULERS, TOKENS])
def test_a_nul_in_a_lists_address_is_refused(admin, path, name):
    assert admin.client.get(path, {name: "a\0"}).status_code == 400


@pytest.mark.parametrize("page", ["change", "delete", "history"])
@pytest.mark.parametrize("path", [JOBS, SCHEDULERS, TOKENS])
def test_a_nul_in_a_pages_address_is_told(admin, path, page):
    response = admin.client.get(f"{path}a%00/{page}/", follow=True)
    assert response.status_code in (200, 403)
    assert response.status_code == 403 or "doesn’t exist" in text(response.content.decode())


def test_a_nul_among_the_chosen_is_refused(admin):
    assert admin.act("pause", "a\0").status_code == 400


def token_of(admin, **changes):
    """Fill in the form of a token, and return the next page."""
    form = {"user": admin.user.pk, "name": "", "scope": "admin", "tag_list": "", "days": ""}
    return admin.send(f"{TOKENS}add/", **form | changes)


def test_a_token_is_made_for_a_user_and_shown_once(admin):
    bob = User.objects.create_user("bob")
    response = token_of(admin, user=bob.pk)
    token = Token.objects.get()
    secret = response.context["token"]
    assert f">{secret}</pre>" in response.content.decode()
    assert (token.user, token.expires_at, token.digest) == (bob, None, digest_of(secret))
    assert "no-store" in response["Cache-Control"]
    assert secret not in admin.read(TOKENS)
    assert secret not in str(dict(admin.client.session)) + str(admin.client.cookies)


def test_a_token_for_what_is_no_tag_is_refused(admin):
    response = token_of(admin, tag_list="shop, reports")
    assert "must be words" in problems(response)["tag_list"][0]
    assert not Token.objects.exists()


def test_a_token_has_a_name_a_scope_and_tags(admin):
    token_of(admin, name="nightly deploy", scope="run", tag_list="shop  reports")
    token = Token.objects.get()
    assert (token.name, token.scopes, token.tags) == ("nightly deploy", ["run"], ["reports", "shop"])
    page = admin.read(TOKENS)
    shown = [cell(page, name) for name in ("name", "scope_list", "tag_list")]
    assert shown == [f"nightly deploy {token.prefix}…", "run", "reports shop"]


def test_the_form_of_a_token_offers_the_smallest_scope_first(admin):
    (chosen,) = re.findall(r'<input type="radio" name="scope" value="(\w+)"[^>]* checked', admin.read(f"{TOKENS}add/"))
    assert chosen == "read"


@pytest.mark.parametrize(("field", "value"), [("scope", "root"), ("scope", ""), ("name", "x" * 101)])
def test_a_wrong_limit_of_a_token_is_refused(admin, field, value):
    assert list(problems(token_of(admin, **{field: value}))) == [field]
    assert not Token.objects.exists()


def test_the_list_of_tokens_names_them_by_their_first_characters(admin):
    make_token(admin.user)
    page = admin.read(TOKENS)
    shown = [cell(page, name) for name in ("name", "user", "used", "expires")]
    assert shown == [f"{Token.objects.get().prefix}…", "root", "never", "never"]
    assert Token.objects.get().digest not in page


def test_the_list_of_tokens_shows_the_last_use(admin):
    make_token(admin.user)
    Token.objects.update(last_used_at=after(-90), last_address="192.0.2.1")
    assert cell(admin.read(TOKENS), "used") == "1 min ago 192.0.2.1"


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({"created_at": NOW}, "valid"),
        ({"created_at": NOW, "expires_at": after(-1)}, "expired"),
        ({"created_at": after(-91 * 86_400)}, "unused for 90 days"),
        ({"created_at": after(-91 * 86_400), "last_used_at": after(-60)}, "valid"),
    ],
)
def test_the_list_of_tokens_says_which_are_of_no_use(admin, fields, state):
    make_token(admin.user)
    Token.objects.update(**fields)
    assert cell(admin.read(TOKENS), "state") == state


def test_a_token_is_rotated_and_the_old_one_stays_valid_for_a_while(admin):
    _, secret = make_token(admin.user, name="deploy", scopes=["run"], expires_at=NOW + timedelta(days=30)).split()
    old = Token.objects.get()
    address = f"{TOKENS}{old.pk}/rotate/"
    assert address in admin.read(TOKENS)
    response = admin.send(address, hours="24")
    new = find_token(response.context["token"], now=NOW)
    assert (new.name, new.scopes, new.expires_at) == ("deploy", ["run"], NOW + timedelta(days=30))
    assert find_token(secret, now=NOW + timedelta(hours=23)) == old
    assert find_token(secret, now=NOW + timedelta(hours=24)) is None
    assert "no-store" in response["Cache-Control"]


@pytest.mark.parametrize("meanwhile", ["rotated", "revoked"])
def test_a_token_that_was_rotated_or_revoked_meanwhile_is_not_rotated(admin, monkeypatch, meanwhile):
    make_token(admin.user)
    token, rotate = Token.objects.get(), services.rotate_token

    def late(stale, *, now, keep):
        fresh = Token.objects.get(pk=stale.pk)
        if meanwhile == "rotated":
            rotate(fresh, now=now, keep=keep)
        else:
            services.revoke_token(fresh, now=now)
        return rotate(stale, now=now, keep=keep)

    monkeypatch.setattr(services, "rotate_token", late)
    response = admin.send(f"{TOKENS}{token.pk}/rotate/", hours="24")
    assert messages(response) == [f"Not rotated: token {token.prefix}… was {meanwhile} meanwhile."]
    assert Token.objects.count() == (2 if meanwhile == "rotated" else 0)


def test_a_token_is_revoked_once(admin):
    make_token(admin.user)
    token = Token.objects.get()
    for stale in (Token.objects.get(), token):
        services.revoke_token(stale, now=NOW)
    assert AuditEvent.objects.filter(action="token_revoked").count() == 1


def test_nobody_is_shown_the_secret_of_somebody_elses_token(at_noon):
    make_token(User.objects.create_superuser("bob"))
    ana = Admin("add_token", "view_token")
    address = f"{TOKENS}{Token.objects.get().pk}/rotate/"
    assert address not in ana.read(TOKENS)
    assert ana.client.post(address, {"hours": "0"}).status_code == 403
    assert Token.objects.count() == 1


def test_a_token_may_expire(admin):
    token_of(admin, days="30")
    assert Token.objects.get().expires_at == NOW + timedelta(days=30)


@pytest.mark.parametrize("days", ["0", "-1", "3651", "1.5", "soon", "9" * 30])
def test_a_wrong_number_of_days_is_refused(admin, days):
    assert list(problems(token_of(admin, days=days))) == ["days"]
    assert not Token.objects.exists()


def test_deleting_a_token_revokes_it(admin):
    make_token(admin.user)
    admin.send(f"{TOKENS}{Token.objects.get().pk}/delete/", post="yes")
    assert not Token.objects.exists()


def test_a_token_is_not_changed(admin):
    make_token(admin.user)
    address = f"{TOKENS}{Token.objects.get().pk}/change/"
    assert admin.client.post(address, {"user": admin.user.pk}).status_code == 403


def test_only_a_superuser_makes_tokens_for_others(at_noon):
    bob, ana = User.objects.create_superuser("bob"), Admin("add_token", "view_token")
    assert list(problems(token_of(ana, user=bob.pk))) == ["user"]
    assert not Token.objects.exists()
    token_of(ana)
    assert Token.objects.get().user == ana.user


def test_a_search_without_a_hint_shows_none(admin):
    assert 'id="searchbar_helptext"' not in admin.read("/admin/auth/group/")
