"""The header traceparent: valid and invalid ones, and the span of a run below it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from jobs.calls import messages, runner, spans
from jobs.core.held import Outcome
from jobs.core.traces import parse_traceparent, traceparent_of
from jobs.functions import registry
from jobs.functions.context import RunContext
from jobs.functions.http.call import HttpCall
from tests.fakes import FakeClock, held_run

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
HEADER = f"00-{TRACE}-{PARENT}-01"


@pytest.mark.parametrize(
    ("header", "kept"),
    [
        (HEADER, HEADER),
        (f"  {HEADER}\t", HEADER),
        (f"00-{TRACE}-{PARENT}-ff", f"00-{TRACE}-{PARENT}-03"),
        (f"cc-{TRACE}-{PARENT}-01", HEADER),
        (f"cc-{TRACE}-{PARENT}-01-what-the-future-brings", HEADER),
    ],
)
def test_a_header_of_the_specification_is_kept(header: str, kept: str) -> None:
    assert parse_traceparent(header) == kept


@pytest.mark.parametrize(
    "header",
    [
        None, "", "-", HEADER.upper(), HEADER[:-1], f"{HEADER}0", f"{HEADER}-more", f"ff-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01", f"00-{TRACE}-{'0' * 16}-01", f"cc-{TRACE}-{PARENT}-01.more",
        f"{HEADER},{HEADER}", f"00-{TRACE}-{PARENT}-0g", f"0\u0660-{TRACE}-{PARENT}-01", HEADER.replace("-", "_"),
    ],
)  # fmt: skip
def test_any_other_header_is_ignored(header: str | None) -> None:
    assert parse_traceparent(header) is None


def test_a_worker_process_gets_the_traceparent_with_the_run() -> None:
    line = messages.encode_run(held_run(traceparent=HEADER), [], "").decode()
    run, *_ = messages.decode_run(line)
    assert run.traceparent == HEADER


def test_the_http_function_sends_it_on() -> None:
    assert HttpCall("https://example.com/").request(HEADER).headers["traceparent"] == HEADER


def test_a_header_of_the_job_itself_comes_first() -> None:
    sent = HttpCall("https://example.com/", headers={"Traceparent": "mine"}).request(HEADER).headers
    assert [value for name, value in sent.items() if name.lower() == "traceparent"] == ["mine"]


# --- without OpenTelemetry -------------------------------------------------------------------------------------------

Ran = Callable[..., tuple[Outcome, RunContext]]


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> Ran:
    """Return a helper that runs a function, and returns the outcome and the function's context."""
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.setattr(runner, "prepare_connections", lambda: None)  # no function here has a database
    monkeypatch.setattr(runner, "tidy_connections", lambda before: False)

    def run(call: Callable[[], Any], **fields: Any) -> tuple[Outcome, RunContext]:
        told: list[RunContext] = []

        def function(context: RunContext) -> Any:
            told.append(context)
            return call()

        function.__annotations__["context"] = RunContext
        monkeypatch.setitem(registry._functions, "tests:it", registry.Function("tests:it", function))
        outcome = runner.execute(held_run(func="tests:it", **fields), clock, lambda _: None)
        return outcome, told[0]

    return run


def test_a_function_is_told_the_traceparent_of_its_run(ran: Ran) -> None:
    _, context = ran(lambda: None, traceparent=HEADER)
    assert context.traceparent == HEADER


def test_a_run_of_a_schedule_has_none(ran: Ran) -> None:
    _, context = ran(lambda: None)
    assert context.traceparent is None


@pytest.mark.parametrize("executor", ["process", "celery"])
def test_a_function_in_a_process_finds_it_in_the_environment(ran: Ran, executor: str) -> None:
    outcome, _ = ran(lambda: os.environ.get("TRACEPARENT"), traceparent=HEADER, executor=executor)
    assert outcome.result == f'"{HEADER}"'


def test_a_function_in_a_thread_does_not_because_others_share_its_environment(ran: Ran) -> None:
    outcome, _ = ran(lambda: os.environ.get("TRACEPARENT"), traceparent=HEADER)
    assert outcome.result == ""


def test_nobody_makes_spans_where_opentelemetry_is_not_set_up() -> None:
    spans.tracer.cache_clear()
    assert spans.tracer() is None


# --- with it ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def finished(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """The spans that have ended."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(spans, "tracer", lambda: provider.get_tracer("test"))
    yield exporter
    provider.shutdown()


def only(finished: InMemorySpanExporter) -> ReadableSpan:
    (span,) = finished.get_finished_spans()
    return span


def test_a_run_has_a_span_that_follows_the_requests(ran: Ran, finished: InMemorySpanExporter) -> None:
    ran(lambda: None, traceparent=HEADER, job_id="report")
    span = only(finished)
    assert span.name == "run report"
    assert span.parent is not None
    assert (f"{span.parent.trace_id:032x}", f"{span.parent.span_id:016x}") == (TRACE, PARENT)


def test_a_run_of_a_schedule_has_a_trace_of_its_own(ran: Ran, finished: InMemorySpanExporter) -> None:
    ran(lambda: None)
    assert only(finished).parent is None


def test_a_span_names_its_run(ran: Ran, finished: InMemorySpanExporter) -> None:
    ran(lambda: None, job_id="report", attempt=2, scheduler_id="s1")
    attributes = dict(only(finished).attributes or {})
    assert attributes["cronzimus.run.id"] == 1
    assert attributes["cronzimus.job.id"] == "report"
    assert attributes["cronzimus.run.attempt"] == 2
    assert attributes["cronzimus.scheduler.id"] == "s1"


def test_the_span_of_a_run_on_a_worker_names_that(ran: Ran, finished: InMemorySpanExporter) -> None:
    ran(lambda: None, executor="celery", scheduler_id="w1")
    attributes = dict(only(finished).attributes or {})
    assert attributes["cronzimus.worker.id"] == "w1"
    assert "cronzimus.scheduler.id" not in attributes


def test_the_function_passes_its_own_span_on(ran: Ran, finished: InMemorySpanExporter) -> None:
    _, context = ran(lambda: None, traceparent=HEADER)
    span = only(finished).context
    assert span is not None
    assert context.traceparent == f"00-{TRACE}-{span.span_id:016x}-{span.trace_flags:02x}"


def test_spans_of_the_function_are_children_of_the_runs(ran: Ran, finished: InMemorySpanExporter) -> None:
    ran(lambda: trace.get_tracer("x").start_span("inner") and None)
    current: list[Any] = []
    ran(lambda: current.append(trace.get_current_span().get_span_context().span_id))
    assert current == [finished.get_finished_spans()[-1].context.span_id]  # type: ignore[union-attr]


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3)], ids=repr)
def test_what_fails_a_run_is_on_its_span(ran: Ran, finished: InMemorySpanExporter, error: BaseException) -> None:
    def fail() -> None:
        raise error

    outcome, _ = ran(fail)
    span = only(finished)
    assert outcome.status == "failed"
    assert span.status.status_code is trace.StatusCode.ERROR
    assert [event.name for event in span.events] == ["exception"]


def test_a_request_with_a_span_of_its_own_passes_that_on(finished: InMemorySpanExporter) -> None:
    with spans.tracer().start_as_current_span("GET /") as span:
        found = span.get_span_context()
        assert traceparent_of(HEADER) == f"00-{found.trace_id:032x}-{found.span_id:016x}-{found.trace_flags:02x}"
    assert traceparent_of(HEADER) == HEADER
