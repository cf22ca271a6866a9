"""Read YAML like JSON: dates, 010 and 1:30 stay texts, duplicate keys are errors, and aliases are limited."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

MAX_VALUES = 1_000_000
"""Values that a file may have once its aliases are expanded."""
INTEGER = "tag:yaml.org,2002:int"
PATTERNS = {"tag:yaml.org,2002:timestamp": None, INTEGER: re.compile(r"[-+]?(?:0|[1-9][0-9]*)\Z")}
"""Patterns of the values that YAML 1.1 would read otherwise (010 as 8, 1:30 as 90); None for texts."""


class Loader(yaml.SafeLoader):
    """PyYAML's safe loader with JSON's whole numbers, without timestamps, and with an error for a duplicate key."""

    yaml_implicit_resolvers = {
        first: [(tag, PATTERNS.get(tag, pattern)) for tag, pattern in resolvers if PATTERNS.get(tag, pattern)]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """Return the mapping of a node. Raises `yaml.YAMLError` for a duplicate key."""
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key.value!r} stands twice", key.start_mark
                    )
                seen.add(key.value)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return mapping


Loader.add_constructor(INTEGER, lambda loader, node: int(node.value))


def parse(text: str) -> Any:
    """Return the value of a YAML document. Raises `ValueError` with the place of the error."""
    try:
        value = yaml.load(text, Loader)  # noqa: S506 (a subclass of the safe loader)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
    if _size(value, {}) > MAX_VALUES:
        raise ValueError("its aliases expand to too many values")
    return value


def _size(value: Any, known: dict[int, int]) -> int:
    """Return the number of values with aliases expanded. A value that contains itself raises `RecursionError`."""
    if not isinstance(value, Mapping | list):
        return 1
    if id(value) not in known:
        children = value.values() if isinstance(value, Mapping) else value
        known[id(value)] = 1 + sum(_size(child, known) for child in children)
    return known[id(value)]
