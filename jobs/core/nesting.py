"""How deeply lists and objects are nested in a value."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def is_deeper(value: Any, levels: int) -> bool:
    """Tell whether lists and objects are nested in `value` deeper than `levels`; takes no stack to find out."""
    level = _containers([value])
    for _ in range(levels):
        level = _containers(item for part in level for item in (part.values() if isinstance(part, dict) else part))
        if not level:
            return False
    return bool(level)


def _containers(items: Iterable[Any]) -> list[Any]:
    return [item for item in items if isinstance(item, dict | list | tuple)]
