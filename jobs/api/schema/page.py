"""The description of the API as a page: the context of its template."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

ALIAS = "x-job-called-bulk"
"""Marks the methods of a job with the id "bulk", which repeat those of any job."""
Described = Mapping[str, Any]
"""The description of the API, or a part of it."""


def page(described: Described) -> dict[str, Any]:
    """Return the context of the template: the operations by group, in the order of their addresses."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            if ALIAS in operation:
                continue
            shown = _operation(described, path, method.upper(), operation)
            groups.setdefault(operation["tags"][0], []).append(shown)
    return {"info": described["info"], "groups": sorted(groups.items()), "server": described["servers"][0]["url"]}


def _operation(described: Described, path: str, method: str, operation: Described) -> dict[str, Any]:
    body = operation.get("requestBody", {}).get("content", {}).get("application/json")
    done = operation["responses"]["200"]["content"]
    return {
        **operation,
        "name": operation["operationId"],
        "method": method,
        "path": path,
        "parameters": [
            {**parameter, "words": words(described, parameter["schema"])} for parameter in operation["parameters"]
        ],
        "body": list(_fields(described, body["schema"])) if body else [],
        "curl": _curl(described, path, method, operation, body),
        "media": ", ".join(done),
        "answer": _example(done.get("application/json", {})),
        "refusals": [
            {"status": status, "examples": list(_codes(_resolved(described, response)))}
            for status, response in operation["responses"].items()
            if status != "200"
        ],
    }


def _curl(described: Described, path: str, method: str, operation: Described, body: Described | None) -> str:
    server = described["servers"][0]["url"].rstrip("/")
    address = f"http://localhost:5000{server}{path}".replace("{job_id}", "nightly").replace("{run_id}", "812")
    parts = ["curl", *([] if method == "GET" else ["-X", method]), address.replace("{backfill_id}", "3")]
    if operation["security"]:
        parts.append("\\\n  -H 'Authorization: Token czm_…'")
    example = _example(body or {}, indent=None)
    if example:
        parts.append(f"\\\n  -H 'Content-Type: application/json' \\\n  -d '{example}'")
    return " ".join(parts)


def _codes(response: Described) -> Iterator[Described]:
    for content in response.get("content", {}).values():
        yield from (example["value"] for example in content["examples"].values())


def _example(content: Described, indent: int | None = 2) -> str:
    for example in content.get("examples", {}).values():
        return json.dumps(example["value"], ensure_ascii=False, indent=indent)
    return ""


def _fields(described: Described, schema: Described) -> Iterator[dict[str, Any]]:
    """Yield the fields of an object, or of each kind if there are several kinds."""
    schema = _resolved(described, schema)
    for kind in schema.get("oneOf", ()) if "properties" not in schema else ():
        yield from ({**field, "kind": kind.get("title", "")} for field in _fields(described, kind))
    for name, value in schema.get("properties", {}).items():
        if value == {}:  # read-only, and ignored
            continue
        required = name in schema.get("required", ())
        yield {"name": name, "required": required, "words": words(described, value), "kind": ""}


def words(described: Described, schema: Described) -> str:
    """Return a schema in words: "whole number from 1 to 1000, or null"."""
    schema = _resolved(described, schema)
    about = f". {schema['description']}" if schema.get("description") else ""
    return _kind(described, schema) + about


def _kind(described: Described, schema: Described) -> str:
    if "const" in schema:
        return f"{schema['const']!r}"
    if "enum" in schema:
        return "one of " + ", ".join(str(value) or '""' for value in schema["enum"])
    if "anyOf" in schema or "oneOf" in schema:
        return " or ".join(
            _kind(described, _resolved(described, kind)) for kind in schema.get("anyOf", schema.get("oneOf"))
        )
    types = schema.get("type", "anything")
    names = [_NAMES.get(name, name) for name in ([types] if isinstance(types, str) else types)]
    return " or ".join(names) + _bounds(schema)


def _bounds(schema: Described) -> str:
    if "minimum" in schema and "maximum" in schema:
        return f", from {schema['minimum']:,} to {schema['maximum']:,}"
    if "minimum" in schema:
        return f", from {schema['minimum']:,}"
    if "maxLength" in schema:
        return f" of at most {schema['maxLength']:,} characters"
    return ""


_NAMES = {"string": "text", "integer": "whole number", "boolean": "true or false", "object": "object", "array": "array"}


def _resolved(described: Described, schema: Described) -> Described:
    """Return a part of the description, or the component that it refers to."""
    if "$ref" not in schema:
        return schema
    _, kind, name = schema["$ref"].rsplit("/", 2)
    found: Described = described["components"][kind][name]
    return found
