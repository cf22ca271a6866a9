"""What gunicorn reads when it is started in this folder: `make run`, the unit for systemd, and by hand."""

import os
import signal
from typing import Any

limit_request_line = 0  # the API refuses what is too long itself, in the envelope of its errors

# Its socket would lie in a home that a service's user does not have. systemd and signals do all that it could.
control_socket_disable = True
# Where a worker shows that it is alive: in memory, and not on a disk that may be slow, full or read-only.
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 (gunicorn makes the file safely)


def post_worker_init(worker: Any) -> None:
    """Leave Ctrl-C, which reaches the whole group, to the master: it tells its workers.

    One that hears of it twice may wait for a lock that it holds itself (`ThreadPoolExecutor.shutdown` in the handler of
    gunicorn 27's gthread), until it is killed 30 seconds later.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
