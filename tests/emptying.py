"""Empty the database after a test that commits, faster than Django's `flush`, which takes longer than most tests.

`flush` truncates every table, and then makes the content types, the permissions and the groups again. Here only tables
with rows are emptied, and tables that migrations fill are left alone unless a test has changed them.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.db import connection, transaction

FILLED = [model._meta.db_table for model in (ContentType, Permission, Group, Group.permissions.through)]
"""The tables that migrations fill, each before the tables that refer to it."""
MANY = 1000
"""A table with more rows is truncated on PostgreSQL: deleted rows would stay in its file, and slow later tests down."""


class Emptying:
    """Empties the default database, except for its first rows."""

    def __init__(self) -> None:
        """Keep the rows of the tables that migrations have filled."""
        names = connection.introspection.django_table_names(only_existing=True, include_views=False)
        self._tables = [name for name in names if name not in FILLED]
        self._rows = {table: self._read(table) for table in FILLED}

    def run(self) -> None:
        """Empty all other tables, and restore the kept rows that a test has changed."""
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                " UNION ALL ".join(
                    f"SELECT '{name}', (SELECT count(*) FROM (SELECT 1 FROM {name} LIMIT {MANY + 1}) r)"  # noqa: S608
                    for name in self._tables
                )
            )
            for table, count in cursor.fetchall():
                if count > MANY and connection.vendor == "postgresql":
                    cursor.execute(f"TRUNCATE {table} CASCADE")
                elif count:
                    cursor.execute(f"DELETE FROM {table}")  # noqa: S608
            if any(self._read(table) != rows for table, rows in self._rows.items()):
                self._put_back(cursor)

    @staticmethod
    def _read(table: str) -> list[tuple[Any, ...]]:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {table} ORDER BY id")  # noqa: S608
            return list(cursor.fetchall())

    def _put_back(self, cursor: Any) -> None:
        for table in reversed(FILLED):
            cursor.execute(f"DELETE FROM {table}")  # noqa: S608
        for table, rows in self._rows.items():
            values = ", ".join(["%s"] * len(rows[0]))
            cursor.executemany(f"INSERT INTO {table} VALUES ({values})", rows)  # noqa: S608
        ContentType.objects.clear_cache()
