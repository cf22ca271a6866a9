"""A span of OpenTelemetry for each run, in a process in which OpenTelemetry was set up."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from ..core.held import HeldRun
from ..core.runs import Executor
from ..functions.context import RunContext


@cache
def tracer() -> Any:
    """Return the tracer; None if nobody has set OpenTelemetry up before the first run.

    `opentelemetry-instrument` or the project's own code sets it up. Nothing is imported for it here, so that processes
    without it pay nothing.
    """
    api: Any = sys.modules.get("opentelemetry.trace")
    if api is None or isinstance(api.get_tracer_provider(), api.ProxyTracerProvider):
        return None
    return api.get_tracer("cronzimus")


@contextmanager
def span_of(run: HeldRun, context: RunContext) -> Iterator[None]:
    """Make a span of `run` current within the context, below the span of the request that asked for it, if any.

    `context.traceparent` is the span's from now on. The span gets the type of an exception.
    """
    from opentelemetry.trace import SpanKind, Status, StatusCode
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    propagator = TraceContextTextMapPropagator()
    parent = propagator.extract({"traceparent": run.traceparent} if run.traceparent else {})
    holder = "worker" if run.executor == Executor.CELERY else "scheduler"
    attributes = {
        "cronzimus.run.id": run.id, "cronzimus.job.id": run.job_id, "cronzimus.run.attempt": run.attempt,
        "cronzimus.run.scheduled_time": run.scheduled_time.isoformat(), f"cronzimus.{holder}.id": run.scheduler_id,
        "code.function.name": run.func,
    }  # fmt: skip
    with tracer().start_as_current_span(
        f"run {run.job_id}", parent, SpanKind.CONSUMER, attributes,
        record_exception=False, set_status_on_exception=False,
    ) as span:  # fmt: skip
        carrier: dict[str, str] = {}
        propagator.inject(carrier)
        context.traceparent = carrier.get("traceparent", run.traceparent)
        try:
            yield
        except BaseException as error:  # SystemExit fails a run as well
            # Not its message, which may hold secrets: only the run's own record is masked.
            span.add_event("exception", {"exception.type": type(error).__qualname__})
            span.set_status(Status(StatusCode.ERROR, type(error).__qualname__))
            raise
