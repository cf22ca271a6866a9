"""What gunicorn reads when it is started in this folder: `make run`, the unit for systemd, and by hand."""

import os
import signal
from pathlib import Path
from typing import Any

import dotenv

dotenv.load_dotenv(Path(__file__).with_name(".env"))  # as the settings do: `make run` and a server read one file
if os.environ.get("LOG_FORMAT") == "json":
    from cronzimus_site.logs import gunicorn_configuration

    logconfig_dict = gunicorn_configuration()

# No thread waits for a client that sends nothing, or sends slowly.
worker_class = "cronzimus_site.webworker.BufferingWorker"
# gunicorn's own limits, in bytes and in number: what is longer is refused before it is read.
limit_request_line = 8190
limit_request_field_size = 8190
limit_request_fields = 100

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
