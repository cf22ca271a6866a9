"""Conditions that Django does not offer on every database."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any
from unicodedata import normalize

from django.db import models
from django.db.models.lookups import IContains

from ..db.connections import CASEFOLD, folded


class HasTag(models.Func):
    """Whether a JSON column is a list that contains a text. A damaged value contains none."""

    output_field = models.BooleanField()
    conditional = True

    def __init__(self, column: str, tag: str) -> None:
        """Look for `tag` in `column`."""
        super().__init__(models.F(column))
        self.tag = tag

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, tuple[Any, ...]]:
        """Return the SQL for PostgreSQL: containment of jsonb."""
        column, params = compiler.compile(self.source_expressions[0])
        return f"({column} @> %s::jsonb)", (*params, json.dumps([self.tag]))

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, tuple[Any, ...]]:
        """Return the SQL for SQLite, which raises an error for text that is not JSON."""
        column, params = compiler.compile(self.source_expressions[0])
        is_list = f"typeof({column}) = 'text' AND json_valid({column}) AND json_type({column}) = 'array'"
        found = f"EXISTS (SELECT 1 FROM json_each({column}) WHERE json_each.value = %s)"  # noqa: S608
        return f"(CASE WHEN {is_list} THEN {found} ELSE 0 END)", (*params * 4, self.tag)


class JSONText(models.Func):
    """The text under a key of a JSON column; null if there is none, or if the value is damaged."""

    output_field = models.TextField()

    def __init__(self, column: str, key: str) -> None:
        """Look up `key`, a name of our own, in `column`."""
        super().__init__(models.F(column))
        self.key = key

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, tuple[Any, ...]]:
        """Return the SQL for PostgreSQL."""
        column, params = compiler.compile(self.source_expressions[0])
        return f"({column} ->> '{self.key}')", tuple(params)

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, tuple[Any, ...]]:
        """Return the SQL for SQLite, which raises an error for text that is not JSON."""
        column, params = compiler.compile(self.source_expressions[0])
        is_object = f"typeof({column}) = 'text' AND json_valid({column}) AND json_type({column}) = 'object'"
        return f"(CASE WHEN {is_object} THEN json_extract({column}, '$.{self.key}') END)", (*params * 4,)


class IsAmong(models.Func):
    """Whether a column of texts has one of any number of values, which are one parameter of the query."""

    output_field = models.BooleanField()
    conditional = True

    def __init__(self, column: str, values: Iterable[str]) -> None:
        """Look for `values` in `column`."""
        super().__init__(models.F(column))
        self.values = json.dumps(list(values))

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, tuple[Any, ...]]:
        """Return the SQL for PostgreSQL."""
        column, params = compiler.compile(self.source_expressions[0])
        return f"({column} IN (SELECT jsonb_array_elements_text(%s::jsonb)))", (*params, self.values)

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, tuple[Any, ...]]:
        """Return the SQL for SQLite."""
        column, params = compiler.compile(self.source_expressions[0])
        return f"({column} IN (SELECT value FROM json_each(%s)))", (*params, self.values)  # noqa: S608


class HasText(models.Lookup):
    """Whether a column contains a text, ignoring case: `name__has_text="überweisung"`.

    As `icontains`, but beyond ASCII on SQLite too, whose LIKE folds only ASCII letters. A letter with an accent is the
    same in one code point and in two (Unicode's forms NFC and NFD).
    """

    lookup_name = "has_text"
    prepare_rhs = False

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        """Return the SQL of `icontains`, for each form of the text."""
        words = str(self.rhs)
        forms = dict.fromkeys([words, normalize("NFC", words), normalize("NFD", words)])
        parts = [IContains(self.lhs, form).as_sql(compiler, connection) for form in forms]
        return f"({' OR '.join(sql for sql, _ in parts)})", [value for _, params in parts for value in params]

    def as_sqlite(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        """Return the SQL for SQLite, whose lower() folds the letters of ASCII; Python folds the others."""
        column, params = self.process_lhs(compiler, connection)
        words = str(self.rhs)
        fold = "lower" if words.isascii() else CASEFOLD
        return f"instr({fold}({column}), %s) > 0", (*params, folded(words))


models.CharField.register_lookup(HasText)
models.TextField.register_lookup(HasText)
