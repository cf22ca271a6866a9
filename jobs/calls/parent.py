"""The parent's end of the pipe: start a child process, send it runs, read its replies, and end it.

The parent is a scheduler or a Celery worker.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from itertools import chain
from typing import Any

from ..core.held import CallEnd, HeldRun
from ..core.runs import RunStatus
from ..functions.process_groups import end_group, signal_group
from . import messages
from .call_note import CallNote, open_memory
from .launch import Launcher
from .output import Output
from .runner import Activity, with_secrets
from .streams import Splitter, new_boundary

START_SECONDS = 60.0
"""Time that a child may take to load Django."""
GRACE_SECONDS = 5.0
"""The time between SIGTERM and SIGKILL."""
CHUNK_BYTES = 65_536
"""Bytes read from a pipe at a time: as many as a pipe holds."""
LONGEST_POLL_SECONDS = 86_400.0
"""Seconds that one call of poll(2) waits, at most: it takes no more than some 24 days, and a timeout may be longer."""
MAX_DRAINS = 4
"""Chunks read before a run: a process that was left behind may write without end."""


class ChildDied(Exception):
    """The child process ended before it answered."""


class NotCalled(ChildDied):
    """The child process ended before it called the function, so another one may call it."""


class Stopped(Exception):
    """The run was stopped: `status` and `reason` say how it ends."""

    def __init__(self, status: RunStatus, reason: str) -> None:
        """Keep the status and the reason."""
        super().__init__(reason)
        self.status = status
        self.reason = reason


class ChildProcess:
    """A process, in a process group of its own, that calls one function at a time.

    It is kept between runs, so that a run costs a line through a pipe instead of the start of Django. One thread owns
    it; only `stop` and `end_at_once` may be called from others.
    """

    def __init__(self, launcher: Launcher) -> None:
        """Start the process. Raises `OSError`."""
        pipes = _pipes(4)
        requests, self._requests = pipes[0]
        self._replies, replies = pipes[1]
        self._output, output = pipes[2]
        self._stop_read, self._stop_write = pipes[3]
        # Neither may block. A process that a function left behind may hold the other end of the output open, and a
        # thread that it left behind may keep the child from reading a request that does not fit into the pipe.
        os.set_blocking(self._output, False)
        os.set_blocking(self._requests, False)
        theirs = [requests, replies, output]
        try:
            theirs.append(note := open_memory())
            self._note = CallNote(note)
            self._process, self._watchdog = launcher.start(requests=requests, replies=replies, output=output, note=note)
        except OSError:
            os.close(self._requests)
            self._close_pipes()
            raise
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        self._death = _pidfd(self._process.pid)
        self.runs = 0
        self._run_id = 0
        self._is_ending = False
        self._stop: tuple[int, Stopped] | None = None
        self._unsent = b""
        self._lines = messages.Lines()
        self._boundary = new_boundary()
        self._splitter = Splitter(self._boundary, _log)
        self._watched = select.poll()
        # poll(2) looks at them in this order: when it reports the end, it has reported the output before it.
        deaths = [] if self._death is None else [self._death]
        for descriptor in (self._replies, self._output, self._stop_read, *deaths):
            self._watched.register(descriptor, select.POLLIN)

    @property
    def takes_runs(self) -> bool:
        """Whether the process has not ended, and has not said that it is about to."""
        return not self._is_ending and self._process.poll() is None

    def get_ready(self, output: Output) -> None:
        """Wait until the process has loaded Django, and add its output to `output`.

        Raises `NotCalled` if it ends, and `TimeoutError` if it is not ready after `START_SECONDS`.
        """
        try:
            self._await("ready", output, lambda progress: None, time.monotonic() + START_SECONDS)
        except ChildDied:
            self._is_ending = True  # it may not have ended altogether
            raise NotCalled from None
        except TimeoutError:
            self.kill(output)
            raise TimeoutError(f"it was not ready within {START_SECONDS:.0f} s") from None

    def call(self, run: HeldRun, activity: Activity) -> CallEnd:
        """Let the process call the function of `run`, and return how it ended.

        Output and progress go to `activity` meanwhile. References to secrets are resolved here, so that the same values
        are sent and masked. Raises `UnknownSecret`; `ChildDied` if the process ended, `NotCalled` if it did so before
        the call; and `Stopped` if the run took longer than its timeout or `stop` was called: then, too, the process has
        ended.
        """
        resolved, secrets = with_secrets(run)
        activity.output.hide(secrets)
        self._drain()
        self.runs += 1
        self._run_id = run.id
        self._note.write(0)
        self._unsent = messages.encode_run(resolved, secrets, self._boundary)
        self._watched.register(self._requests, select.POLLOUT)
        deadline = None if run.timeout is None else time.monotonic() + run.timeout

        def progress(made: list[int]) -> None:
            activity.context.progress_made = (made[0], made[1])

        try:
            end = messages.decode_end(self._await("end", activity.output, progress, deadline))
        except TimeoutError:
            self.kill(activity.output)
            raise Stopped(RunStatus.TIMED_OUT, f"it took longer than its timeout of {run.timeout} s") from None
        except ChildDied:
            self._is_ending = True
            if self._note.run_id == run.id:
                raise
            raise NotCalled from None
        self._write(self._splitter.end(), activity.output)
        return end

    def stop(self, run_id: int, status: RunStatus, reason: str) -> None:
        """End the run `run_id`, whose call goes on or is about to begin. Called from another thread than `call`."""
        self._stop = run_id, Stopped(status, reason)
        os.write(self._stop_write, b"!")

    def kill(self, output: Output | None = None) -> None:
        """End the process and all that it started: SIGTERM, then SIGKILL for processes left after `GRACE_SECONDS`.

        Its remaining output is added to `output`.
        """
        if output is None:
            end_group(self._process, GRACE_SECONDS)
            return
        end_group(self._process, GRACE_SECONDS, partial(self._read_for, output))
        with suppress(BlockingIOError):
            # No more than a pipe holds is of the process: one that it left behind may write without end.
            self._write(self._splitter.split(os.read(self._output, CHUNK_BYTES)), output)
        self._write(self._splitter.end(), output)

    def _read_for(self, output: Output, seconds: float) -> None:
        """Read output for some seconds: a process that is told to end, and writes, would wait for that."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and is_readable(self._output, left):
            if data := os.read(self._output, CHUNK_BYTES):
                self._write(self._splitter.split(data), output)
            else:
                time.sleep(left)  # nobody can write any more

    def end_at_once(self) -> None:
        """End the process and all that it started, without a chance to tidy up."""
        signal_group(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """End the process, and close its pipes."""
        os.close(self._requests)
        self.kill()
        self._watchdog.dismiss()
        self._close_pipes()
        self._note.close()
        if self._death is not None:
            os.close(self._death)

    def _close_pipes(self) -> None:
        for descriptor in (self._replies, self._output, self._stop_read, self._stop_write):
            os.close(descriptor)

    def how_it_ended(self) -> str:
        """Return the end of the process in words, such as "the process exited with status 7"."""
        status = self._process.wait()
        if status < 0:
            return f"the process was ended by {signal.Signals(-status).name}"
        return f"the process exited with status {status}"

    def _await(self, wanted: str, output: Output, progress: Callable[[list[int]], None], deadline: float | None) -> Any:
        """Return the value that the child sends as `wanted`. Pass its output and its progress on meanwhile.

        Raises `TimeoutError` at the monotonic time `deadline`, `ChildDied`, and `Stopped`.
        """
        while True:
            wait = None if deadline is None else deadline - time.monotonic()
            if wait is not None and wait <= 0:
                raise TimeoutError
            milliseconds = None if wait is None else min(wait, LONGEST_POLL_SECONDS) * 1000
            ready = {descriptor for descriptor, _ in self._watched.poll(milliseconds)}
            if self._stop_read in ready:
                os.read(self._stop_read, CHUNK_BYTES)
                if self._stop is not None and self._stop[0] == self._run_id:  # or it was meant for the run before
                    self.kill(output)
                    raise self._stop[1]
            if self._requests in ready:
                self._send()
            if self._output in ready:
                # One read takes all output before the end, because a pipe holds no more than a chunk. Later output of a
                # child that was left behind is not awaited.
                self._read_output(output)
            if self._replies in ready:
                for message in self._messages():
                    if "progress" in message and message["run"] == self._run_id:
                        progress(message["progress"])
                    if wanted in message:
                        self._is_ending = message.get("last", False)
                        return message[wanted]
            elif self._death in ready and not is_readable(self._replies):
                raise ChildDied

    def _drain(self) -> None:
        """Log the output since the last run has ended: it is of what that run left behind."""
        with suppress(BlockingIOError):
            for _ in range(MAX_DRAINS):
                data = os.read(self._output, CHUNK_BYTES)
                for text, _ in self._splitter.split(data):
                    _log(text)
                if len(data) < CHUNK_BYTES:
                    break
        for text, _ in self._splitter.end():
            _log(text)

    def _send(self) -> None:
        try:
            self._unsent = self._unsent[os.write(self._requests, self._unsent) :]
        except BrokenPipeError:
            self._unsent = b""  # the child has ended, which its replies show, too
        if not self._unsent:
            self._watched.unregister(self._requests)

    def _read_output(self, output: Output) -> None:
        data = os.read(self._output, CHUNK_BYTES)
        self._write(self._splitter.split(data), output)
        if not data:
            self._watched.unregister(self._output)

    @staticmethod
    def _write(texts: Iterable[tuple[str, bool]], output: Output) -> None:
        for text, is_error in texts:
            output.write(text, is_error=is_error)

    def _messages(self) -> list[dict[str, Any]]:
        data = os.read(self._replies, CHUNK_BYTES)
        if not data:
            raise ChildDied
        return self._lines.read(data)


def is_readable(descriptor: int, seconds: float = 0.0) -> bool:
    """Tell whether there is something to read, or nobody left to write it; wait for it up to so many seconds."""
    poll = select.poll()  # select(2) takes no descriptor above 1,023, which more than a hundred slots exceed
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def _pipes(number: int) -> list[tuple[int, int]]:
    """Return so many pipes. Raises `OSError` and leaves none open if there are too few descriptors."""
    pipes: list[tuple[int, int]] = []
    try:
        pipes.extend(os.pipe() for _ in range(number))
    except OSError:
        for descriptor in chain(*pipes):
            os.close(descriptor)
        raise
    return pipes


def _log(text: str) -> None:
    """Write output that belongs to no run to this process's standard output."""
    with suppress(Exception):  # nobody may be there to read it
        sys.stdout.write(text)
        sys.stdout.flush()


def _pidfd(pid: int) -> int | None:
    """Return a descriptor that becomes readable when the process `pid` ends; None if the system has none.

    The end of its replies does not show that: a child that its function forked holds the other end as well.
    """
    with suppress(AttributeError, OSError):
        return os.pidfd_open(pid)
    return None
