"""What gunicorn reads when it is started in this folder: `make run`, the unit for systemd, and by hand."""

import signal
from typing import Any

limit_request_line = 0  # the API refuses what is too long itself, in the envelope of its errors


def post_worker_init(worker: Any) -> None:
    """Leave Ctrl-C, which reaches the whole group, to the master: it tells its workers.

    One that hears of it twice may wait for a lock that it holds itself (`ThreadPoolExecutor.shutdown` in the handler of
    gunicorn 27's gthread), until it is killed 30 seconds later.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
