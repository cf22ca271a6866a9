"""Flask-APScheduler in the API's benchmark: its API as it comes, with the jobs in its own process's memory."""

from __future__ import annotations

import os

from flask import Flask
from flask_apscheduler import APScheduler

from benchmarks.functions import noop


def _application(number: int) -> Flask:
    flask = Flask(__name__)
    flask.config["SCHEDULER_API_ENABLED"] = True
    scheduler = APScheduler()
    scheduler.init_app(flask)
    for index in range(number):
        scheduler.add_job(f"job-{index:06}", noop, name=f"Job {index}", trigger="interval", seconds=3600 + index)
    scheduler.start()
    return flask


application = _application(int(os.environ["BENCHMARK_JOBS"]))
