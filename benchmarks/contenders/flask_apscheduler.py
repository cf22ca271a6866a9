"""Flask-APScheduler: its scheduler in the web process, its jobs in memory, its API over HTTP."""

from __future__ import annotations

from typing import Any

from benchmarks import child


def create_app() -> Any:
    """Return the application, as its README has it, with its scheduler started."""
    from flask import Flask
    from flask_apscheduler import APScheduler

    app = Flask(__name__)
    app.config |= {"SCHEDULER_API_ENABLED": True, "SCHEDULER_TIMEZONE": "UTC"}
    scheduler = APScheduler()
    scheduler.init_app(app)
    scheduler.start()
    return app


def web(port: int) -> None:
    """Serve it with one worker of gunicorn."""
    child.serve_web("benchmarks.contenders.flask_apscheduler:create_app()", port)


if __name__ == "__main__":
    child.main({"web": web})
