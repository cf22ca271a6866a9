"""Generate the description of the API: drf-spectacular finds the addresses, and `operations` describes them."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from copy import deepcopy
from functools import lru_cache
from typing import Any

from django.apps import apps
from django.conf import settings
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema

from ... import __version__
from ...core import exceptions
from ...core.exceptions import CronzimusError
from ...core.roles import scope_of
from ...services.idempotency import IdempotencyKeyReused
from ..errors import REFUSALS, STATUSES
from .components import SCHEMAS, TEXT, Schema, ref
from .operations import HEADERS, JSON, OPERATIONS, READ_HEADERS, Operation
from .page import ALIAS

VERSION = "3.1.0"
"""The version of OpenAPI."""
PATHS: dict[str, tuple[str, Schema]] = {
    "job_id": ("The id of a job.", {"type": "string", "minLength": 1}),
    "run_id": ("The number of a run.", {"type": "string", "minLength": 1}),
    "number": ("The number of a version.", {"type": "string", "minLength": 1}),
    "backfill_id": ("The number of a backfill.", {"type": "string", "minLength": 1}),
}
"""The parameters in addresses. Any text is valid; an unknown object is a 404."""
RETRY_AFTER = {"Retry-After": {"description": "Seconds after which to try again.", "schema": TEXT}}
ENTITY_TAG = {"ETag": {"description": "The entity tag. A streamed answer has none.", "schema": TEXT}}
SECURITY: dict[str, Any] = {
    "token": {"type": "http", "scheme": "bearer", "description": "A token, `czm_…`; `Token` does as well as `Bearer`."},
    "session": {
        "type": "apiKey", "in": "cookie", "name": "sessionid",
        "description": "The session of a browser that is logged in to the admin. Writes need the header X-CSRFToken.",
    },
}  # fmt: skip


def description(*, server: str, is_open: bool) -> dict[str, Any]:
    """Return the description of the API at the address `server`. If it `is_open`, nobody needs credentials."""
    described = {**deepcopy(_description()), "servers": [{"url": server}]}
    described["components"]["securitySchemes"]["session"]["name"] = settings.SESSION_COOKIE_NAME
    if is_open:
        for operation in (operation for methods in described["paths"].values() for operation in methods.values()):
            operation["security"] = []
    return described


@lru_cache(maxsize=1)
def _description() -> dict[str, Any]:
    app = apps.get_app_config("cronzimus").name
    paths = Generator(urlconf=f"{app}.urls").parse(None, True)
    return {
        "openapi": VERSION,
        "info": {
            "title": "Cronzimus",
            "version": __version__,
            "description": "Jobs, their runs, and what schedules them. All errors have `error` and `code`.",
        },
        "paths": {path: paths[path] for path in sorted(paths)},
        "components": {"schemas": SCHEMAS, "responses": COMMON, "securitySchemes": SECURITY},
    }


class Generator(SchemaGenerator):
    """Finds the addresses, and lets `OperationSchema` describe each, independent of the project's settings."""

    def create_view(self, callback: Any, method: str, request: Any = None) -> Any:
        """Return a view for one method of an address."""
        view = super().create_view(callback, method, request)
        self._set_schema_to_view(view, OperationSchema())
        return view


class OperationSchema(AutoSchema):
    """Describes one method of one address from the table of operations."""

    def get_operation(self, path: str, path_regex: str, path_prefix: str, method: str, registry: Any) -> Any:
        """Return the description."""
        name, handler = _handler(self.view, method.lower())
        operation = OPERATIONS.get(name) or OPERATIONS[f"{name}.{method.lower()}"]
        needed = getattr(self.view, "needs", {}).get(name.partition(".")[2], ())
        described = _described(operation, path, inspect.getdoc(handler) or "", tuple(needed))
        if method == "GET" and getattr(self.view, "has_entity_tags", False):
            _add_conditions(described)
        if path.endswith("/jobs/bulk") and name != "JobViewSet.bulk":
            described |= {"operationId": f"{operation.name}CalledBulk", ALIAS: True}
        return described


def _handler(view: Any, method: str) -> tuple[str, Any]:
    action = getattr(view, "action", None) or method
    return f"{type(view).__name__}.{action}", getattr(view, action)


def _described(operation: Operation, path: str, text: str, needed: tuple[str, ...]) -> dict[str, Any]:
    summary, _, rest = text.partition("\n")
    may = " or ".join(f"`cronzimus.{name}` (scope `{scope_of(name)}`)" for name in dict.fromkeys(needed))
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": summary.rstrip("."),
        "description": "\n\n".join(filter(None, (rest.strip(), may and f"Needs the permission {may}."))),
        "tags": [operation.group],
        "parameters": [*_in_path(path), *_in_query(operation.query), *_in_headers(operation.headers)],
        "responses": _responses(operation, needed),
        "security": [{"token": []}, {"session": []}] if needed else [],
    }
    if operation.body is not None:
        content: dict[str, Any] = {"schema": operation.body}
        if operation.example is not None:
            content["examples"] = {"example": {"value": operation.example}}
        described["requestBody"] = {"required": operation.needs_body, "content": {JSON: content}}
    return described


def _add_conditions(described: dict[str, Any]) -> None:
    """Add what an entity tag brings: two headers of the request, one of the answer, and the answers 304 and 412."""
    described["parameters"] += [
        {"name": name, "in": "header", "schema": schema} for name, schema in READ_HEADERS.items()
    ]
    responses = described["responses"]
    responses["200"]["headers"] = ENTITY_TAG
    responses["304"] = {"description": "The answer has an entity tag of If-None-Match.", "headers": ENTITY_TAG}
    responses["412"] = _refusal(412, ["PRECONDITION_FAILED"])
    described["responses"] = {status: responses[status] for status in sorted(responses)}


def _in_path(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "description": text, "schema": schema}
        for name, (text, schema) in PATHS.items()
        if f"{{{name}}}" in path
    ]


def _in_query(query: Mapping[str, Schema]) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "query", "schema": schema, **({"explode": False} if schema["type"] == "array" else {})}
        for name, schema in query.items()
    ]


def _in_headers(names: Iterable[str]) -> list[dict[str, Any]]:
    return [{"name": name, "in": "header", "schema": HEADERS[name]} for name in names]


def _responses(operation: Operation, needed: tuple[str, ...]) -> dict[str, Any]:
    json = {JSON: {"schema": operation.answer}} if operation.answer else {}
    if json and operation.shows is not None:
        json[JSON]["examples"] = {"example": {"value": operation.shows}}
    media = {name: {"schema": schema} for name, schema in operation.media.items()}
    codes: dict[int, list[str]] = {}
    for code in (*operation.refusals, *(["NOT_FOUND"] if needed else [])):
        codes.setdefault(ERRORS[code], []).append(code)
    common = [500, 503, *([401, 403, 429] if needed else []), *([] if operation.body is None else [413, 415])]
    responses: dict[int, Any] = {200: {"description": "Done.", "content": {**json, **media}}}
    responses |= {status: _refusal(status, list(dict.fromkeys(some))) for status, some in codes.items()}
    responses |= {status: {"$ref": f"#/components/responses/{status}"} for status in common}
    if operation.unavailable is not None:
        usual = COMMON["503"]["content"][JSON]
        responses[503] = {**COMMON["503"], "content": {JSON: {**usual, "schema": operation.unavailable}}}
    return {str(status): responses[status] for status in sorted(responses)}


def _refusal(status: int, codes: list[str]) -> dict[str, Any]:
    usual, message = REFUSALS.get(status, ("", ""))
    texts = [message if code == usual else DESCRIPTIONS.get(code, "") for code in codes]
    schema: Schema = {"allOf": [ref("Error"), {"properties": {"code": {"enum": codes}}}]}
    content = {
        "schema": schema,
        "examples": {code: {"value": {"error": text, "code": code}} for code, text in zip(codes, texts, strict=True)},
    }
    refusal: dict[str, Any] = {"description": " ".join(texts), "content": {JSON: content}}
    return {**refusal, "headers": RETRY_AFTER} if status in (429, 503) else refusal


def _kinds() -> Iterable[type[CronzimusError]]:
    known = [kind for kind in vars(exceptions).values() if inspect.isclass(kind) and issubclass(kind, CronzimusError)]
    return [*known, IdempotencyKeyReused]


def _status(kind: type[CronzimusError]) -> int:
    return next(STATUSES[parent] for parent in kind.__mro__ if parent in STATUSES)


ERRORS: dict[str, int] = {
    **{code: status for status, (code, _) in REFUSALS.items()},
    **{kind.code: _status(kind) for kind in _kinds()},
}
"""The HTTP status of each code."""
COMMON_STATUSES = (401, 403, 413, 415, 429, 500, 503)
"""The errors that do not depend on the operation."""
DESCRIPTIONS: dict[str, str] = {kind.code: inspect.getdoc(kind) or "" for kind in _kinds()}
"""The meaning of each exception's code."""
COMMON = {str(status): _refusal(status, [REFUSALS[status][0]]) for status in COMMON_STATUSES}
"""The answers with these errors."""
