"""One job, by its id, with all that Django works out for each query worked out once."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from django.db import DataError, connection

from jobs import services
from jobs.models import Job

Converters = dict[int, tuple[list[Any], Any]]


def find_job(job_id: str) -> Job:
    """Return a job, as `services.get_job` does, in a third of the time. Raises `JobNotFound`."""
    sql, names, converters = _prepared()
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql, [job_id])
            row = cursor.fetchone()
    except (ValueError, DataError):  # an id that the database can not even compare
        row = None
    if row is None:
        return services.get_job(job_id)
    # SQLite keeps any bytes in any column: those of a damaged row are shown as the text that they may have been.
    values = [value.decode("utf-8", "replace") if isinstance(value, bytes) else value for value in row]
    for index, (steps, column) in converters.items():
        for convert in steps:
            values[index] = convert(values[index], column, connection)
    return Job.from_db(connection.alias, names, values)


@lru_cache(maxsize=1)
def _prepared() -> tuple[str, list[str], Converters]:
    """Return the SQL, the names of the fields that it reads, and what turns a column of a row into a field's value."""
    compiler = Job.objects.filter(pk="").order_by().query.get_compiler(connection=connection)
    sql, _ = compiler.as_sql()
    columns: list[Any] = [column for column, *_ in compiler.select]
    return sql, [column.target.attname for column in columns], compiler.get_converters(columns)
