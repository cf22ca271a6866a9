"""A worker's process as its scheduler sees it: started, handed runs, listened to, and ended whatever it does."""

from __future__ import annotations

import codecs
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ..core.runs import RunStatus
from ..scheduler.store.held import HeldRun
from .output import Output
from .runner import Activity
from .watchdog import Warden

START = 60.0
"""Seconds that a worker has to load Django."""
GRACE = 5.0
"""Seconds between SIGTERM and SIGKILL."""
CHUNK = 65_536
"""Bytes that are read from a pipe at a time."""
FOLDER = os.getcwd()
"""Where a worker starts: the folder of this process, before a function that runs in a thread can change it."""
PATH = os.pathsep.join(map(os.path.abspath, sys.path))
"""Where a worker looks for modules: where this process does, whatever layout the project has."""


class WorkerDied(Exception):
    """The worker's process ended before it answered."""


class Stopped(Exception):
    """The run was stopped: `status` and `reason` say how it ends."""

    def __init__(self, status: RunStatus, reason: str) -> None:
        """Keep both."""
        super().__init__(reason)
        self.status = status
        self.reason = reason


def _started(requests: int, replies: int, output: int) -> tuple[subprocess.Popen[bytes], Warden]:
    """Start a worker's process and what guards it: both, or neither."""
    own_path = [value] if (value := os.environ.get("PYTHONPATH")) is not None else []
    process = subprocess.Popen(  # noqa: S603 (a command of ours)
        [sys.executable, "-P", "-m", f"{__package__}.child", str(requests), str(replies), *own_path],
        stdin=subprocess.DEVNULL, stdout=output, stderr=output, pass_fds=(requests, replies),
        cwd=FOLDER, env={**os.environ, "PYTHONPATH": PATH}, process_group=0,
    )  # fmt: skip
    try:
        return process, Warden(process.pid)
    except OSError:
        process.kill()
        process.wait()
        raise


def _death_of(pid: int) -> int | None:
    """Return a descriptor that can be read once the process `pid` has ended; None where the system has none.

    The end of its replies does not tell: a child that its function forked holds the other end, too.
    """
    with suppress(AttributeError, OSError):
        return os.pidfd_open(pid)
    return None


class Worker:
    """A process, in a process group of its own, that calls one function at a time.

    It is kept between runs: a run costs a line down a pipe, and not the loading of Django. One thread owns it; only
    `stop` may be called by others.
    """

    def __init__(self) -> None:
        """Start the process."""
        requests, self._requests = os.pipe()
        self._replies, replies = os.pipe()
        self._output, output = os.pipe()
        self._bell, self._ring = os.pipe()
        # What a function started in a session of its own may outlive it, and hold the other end open. And what it left
        # behind may keep the process from reading a request that does not fit into the pipe.
        os.set_blocking(self._output, False)
        os.set_blocking(self._requests, False)
        try:
            self._process, self._warden = _started(requests, replies, output)
        except OSError:
            os.close(self._requests)
            self._close_pipes()
            raise
        finally:
            for descriptor in (requests, replies, output):
                os.close(descriptor)
        self._death = _death_of(self._process.pid)
        self.runs = 0
        self._stop: Stopped | None = None
        self._unsent = self._unread = b""
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._watched = select.poll()
        # In this order they are looked at: where the end is there, the output before it is seen to be there, too.
        deaths = [] if self._death is None else [self._death]
        for descriptor in (self._replies, self._output, self._bell, *deaths):
            self._watched.register(descriptor, select.POLLIN)

    @property
    def alive(self) -> bool:
        """Whether the process has not ended."""
        return self._process.poll() is None

    def get_ready(self, output: Output) -> None:
        """Wait until the process has loaded Django; `output` gets what it writes. Raises `WorkerDied` if it dies."""
        try:
            self._await("ready", output, lambda progress: None, time.monotonic() + START)
        except TimeoutError:
            self.kill()
            raise WorkerDied from None

    def call(self, run: HeldRun, activity: Activity) -> dict[str, Any]:
        """Have the function of `run` called, and return how it ended: status, result, error and traceback.

        What it writes goes to the output of `activity`, its progress to the context. Raises `WorkerDied`, and `Stopped`
        where it took longer than its timeout or `stop` was called; the process has ended then.
        """
        self.runs += 1
        self._stop = None
        request = run._asdict() | {"scheduled_time": str(run.scheduled_time)}
        self._unsent = json.dumps(request).encode() + b"\n"
        self._watched.register(self._requests, select.POLLOUT)
        deadline = None if run.timeout is None else time.monotonic() + run.timeout

        def progress(made: list[int]) -> None:
            activity.context.progress_made = (made[0], made[1])

        try:
            ended: dict[str, Any] = self._await("end", activity.output, progress, deadline)
        except TimeoutError:
            self.kill(activity.output)
            raise Stopped(RunStatus.TIMED_OUT, f"it took longer than its timeout of {run.timeout} s") from None
        return ended

    def stop(self, status: RunStatus, reason: str) -> None:
        """End the run that is going on, from another thread."""
        self._stop = Stopped(status, reason)
        os.write(self._ring, b"!")

    def kill(self, output: Output | None = None) -> None:
        """End the process and all that it started: SIGTERM, and SIGKILL for what is left after `GRACE` seconds.

        What it wrote before its end goes to `output`.
        """
        self._signal(signal.SIGTERM)
        deadline = time.monotonic() + GRACE
        while self._group_lives() and time.monotonic() < deadline:
            time.sleep(0.02)
        self._signal(signal.SIGKILL)
        self._process.wait()
        if output is not None:
            with suppress(BlockingIOError):
                while data := os.read(self._output, CHUNK):
                    output.write(self._decode(data))

    def end_at_once(self) -> None:
        """End the process and all that it started, without a chance to tidy up."""
        self._signal(signal.SIGKILL)

    def close(self) -> None:
        """Let the process end, and free what belongs to it."""
        os.close(self._requests)
        self.kill()
        self._warden.dismiss()
        self._close_pipes()
        if self._death is not None:
            os.close(self._death)

    def _close_pipes(self) -> None:
        for descriptor in (self._replies, self._output, self._bell, self._ring):
            os.close(descriptor)

    def how_it_ended(self) -> str:
        """Return in words how the process ended."""
        status = self._process.wait()
        if status < 0:
            return f"the process was ended by {signal.Signals(-status).name}"
        return f"the process exited with status {status}"

    def _group_lives(self) -> bool:
        self._process.poll()  # or it would be there as a zombie
        try:
            os.killpg(self._process.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
        return True

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _await(self, wanted: str, output: Output, progress: Callable[[list[int]], None], deadline: float | None) -> Any:
        """Return what the worker says under the name `wanted`; keep what it writes meanwhile."""
        while True:
            wait = None if deadline is None else deadline - time.monotonic()
            ready = {descriptor for descriptor, _ in self._watched.poll(None if wait is None else max(wait, 0) * 1000)}
            if not ready or (wait is not None and wait <= 0):
                raise TimeoutError
            if self._bell in ready:
                os.read(self._bell, CHUNK)
                if self._stop is not None:  # else it was rung for the run before, which had just ended
                    self.kill(output)
                    raise self._stop
            if self._requests in ready:
                self._send()
            if self._output in ready:
                # All that was written before the end: a pipe holds no more than a chunk. What comes after it, from a
                # child that was left behind, is not waited for.
                self._read_output(output)
            if self._replies in ready:
                for message in self._messages():
                    if "progress" in message:
                        progress(message["progress"])
                    if wanted in message:
                        return message[wanted]
            elif self._death in ready and not select.select([self._replies], (), (), 0)[0]:
                raise WorkerDied

    def _send(self) -> None:
        try:
            self._unsent = self._unsent[os.write(self._requests, self._unsent) :]
        except BrokenPipeError:
            self._unsent = b""  # its replies end as well
        if not self._unsent:
            self._watched.unregister(self._requests)

    def _read_output(self, output: Output) -> None:
        data = os.read(self._output, CHUNK)
        output.write(self._decode(data))
        if not data:
            self._watched.unregister(self._output)

    def _messages(self) -> list[dict[str, Any]]:
        data = os.read(self._replies, CHUNK)
        if not data:
            raise WorkerDied
        *lines, self._unread = (self._unread + data).split(b"\n")
        return [json.loads(line) for line in lines]
