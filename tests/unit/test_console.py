"""The log of our own processes: on the console, from a level on, and in a file."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from jobs.calls.console import OWN, log_from, log_to_console, log_to_file
from jobs.worker import app as worker_app


@pytest.fixture(autouse=True)
def _no_logging() -> Iterator[None]:
    """Have the levels of a project that has configured none, and put everything back."""
    loggers = [logging.getLogger(name) for name in ("", *OWN)]
    before = [(logger, logger.level, logger.handlers[:]) for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING if logger is loggers[0] else logging.NOTSET)
    yield
    for logger, level, handlers in before:
        for handler in logger.handlers:
            handler.close()
        logger.setLevel(level)
        logger.handlers[:] = handlers


def use_console() -> None:
    """Log to the console as a project without handlers: pytest has some."""
    logging.getLogger().handlers[:] = []
    log_to_console()


def said(path: Path) -> list[str]:
    """Log a line of each kind; return the loggers and messages in the file `path`."""
    for name in ("cronzimus.worker", "celery.worker"):
        logging.getLogger(name).info("of %s", name)
        logging.getLogger(name).warning("of %s", name)
    return [line.split(" ", 2)[2] for line in path.read_text().splitlines()]


def test_a_file_gets_what_the_console_would_get(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    use_console()
    log_to_file(str(tmp_path / "log"))
    assert said(tmp_path / "log") == [
        "INFO cronzimus.worker: of cronzimus.worker",
        "WARNING cronzimus.worker: of cronzimus.worker",
        "WARNING celery.worker: of celery.worker",
    ]
    assert capfd.readouterr().err == ""


def test_a_file_takes_over_the_form_and_the_filters_of_the_projects_console(tmp_path: Path) -> None:
    console = logging.StreamHandler(sys.stderr)
    console.setFormatter(logging.Formatter("a b %(levelname)s!"))
    console.addFilter(lambda record: record.name != "celery.worker")
    logging.getLogger().handlers[:] = [console]
    log_to_file(str(tmp_path / "log"))
    assert said(tmp_path / "log") == ["WARNING!"]


def test_a_file_gets_everything_where_the_project_has_no_console(tmp_path: Path) -> None:
    logging.getLogger().handlers[:] = [logging.NullHandler()]
    log_to_file(str(tmp_path / "log"))
    assert len(said(tmp_path / "log")) == 2


def test_a_level_is_that_of_all_loggers(tmp_path: Path) -> None:
    use_console()
    log_to_file(str(tmp_path / "log"))
    log_from(logging.INFO)
    assert len(said(tmp_path / "log")) == 4


@pytest.mark.parametrize(
    ("arguments", "levels"),
    [
        ([], (logging.WARNING, logging.INFO)),
        (["-l", "10"], (logging.DEBUG, logging.DEBUG)),
        (["-l", "30"], (logging.WARNING, logging.WARNING)),
    ],
)
def test_a_worker_has_the_level_that_its_command_names(arguments: list[str], levels: tuple[int, int]) -> None:
    @click.command()
    @click.option("-l", "--loglevel", default=logging.WARNING)
    def worker(loglevel: int) -> None:
        logging.getLogger().handlers[:] = []
        worker_app._set_up_logging(loglevel, None)

    worker.main(arguments, standalone_mode=False)
    assert tuple(logging.getLogger(name).level for name in ("", "cronzimus")) == levels


def test_a_file_that_cannot_be_written_ends_the_start(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"The log file cannot be opened: .*No such file"):
        worker_app._set_up_logging(logging.WARNING, str(tmp_path / "none" / "log"))
