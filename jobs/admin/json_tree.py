"""JSON as a tree that opens and closes, without a script."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

NODES = 500
"""Values that a tree shows."""
OPEN = 2
"""Levels that are open at first."""


def tree(value: Any) -> SafeString:
    """Return a JSON value as a tree."""
    return format_html('<ul class="tree">{}</ul>', _Tree().node(None, value, 0))


class _Tree:
    def __init__(self) -> None:
        self._left = NODES

    def node(self, key: Any, value: Any, level: int) -> SafeString:
        self._left -= 1
        name = "" if key is None else format_html('<span class="key">{}</span> ', str(key))
        if isinstance(value, dict) and value:
            return self._branch(name, value.items(), f"{{{len(value)}}}", level)
        if isinstance(value, list) and value:
            return self._branch(name, enumerate(value), f"[{len(value)}]", level)
        kind = "text" if isinstance(value, str) else "other"
        shown = json.dumps(value, ensure_ascii=False)
        return format_html('<li>{}<code class="tree-{}">{}</code></li>', name, kind, shown)

    def _branch(self, name: SafeString | str, items: Iterable[tuple[Any, Any]], size: str, level: int) -> SafeString:
        rows = []
        for key, value in items:
            if self._left <= 0:
                rows.append(format_html('<li class="quiet">{}</li>', "… and more"))
                break
            rows.append(self.node(key, value, level + 1))
        shown = '<li><details{}><summary>{}<span class="quiet">{}</span></summary><ul>{}</ul></details></li>'
        is_open = format_html(" {}", "open") if level < OPEN else ""
        return format_html(shown, is_open, name, size, format_html_join("", "{}", ((row,) for row in rows)))
