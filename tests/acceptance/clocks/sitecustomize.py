"""Make `time.sleep` work under libfaketime. Python imports this module at its start if this folder is on its path.

libfaketime 0.9.10 gets clock_nanosleep(TIMER_ABSTIME) wrong, which `time.sleep` uses since Python 3.11: it fails with
EINVAL or sleeps for as long as the clock was moved. A semaphore's timed wait is left alone.
"""

from __future__ import annotations

import threading
import time


def sleep(seconds: float) -> None:
    """Sleep for `seconds`."""
    threading.Event().wait(seconds)


time.sleep = sleep
