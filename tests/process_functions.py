"""Functions that need a process of their own, each registered as "tests:<name>"."""

from __future__ import annotations

import asyncio
import ctypes
import io
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from asgiref.sync import sync_to_async

from jobs import Database, RunContext, register
from jobs.models import Job
from tests.marks import leave_mark


@register("tests:pid")
def pid() -> int:
    """Return the process that runs it."""
    return os.getpid()


@register("tests:reveal")
def reveal(value: str) -> str:
    """Write a secret in pieces that arrive one by one, and return it."""
    for piece in (value[:5], value[5:], "\n", f"{value}\n"):
        os.write(1, piece.encode())
        time.sleep(0.02)
    return value.upper() + value


@register("tests:noisy")
def noisy(context: RunContext) -> dict[str, int]:
    """Write in every way, and return something."""
    print("printed")
    print("printed as an error", file=sys.stderr)
    context.logger.info("logged")
    sys.stdout.flush()
    subprocess.run(["echo", "from a child"], check=True)
    os.write(1, b"from the descriptor\n")
    context.progress(3, 4)
    return {"answer": 42}


@register("tests:stubborn")
def stubborn(path: str, context: RunContext, marks: str = "") -> None:
    """Write its process id to `path`, ignore SIGTERM, and never end; before, leave a mark in `marks`."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if marks:
        leave_mark(marks, context)
    print("never ends")
    leave(path, os.getpid())
    while True:
        time.sleep(1)


@register("tests:tell_a_lot")
def tell_a_lot(path: str) -> None:
    """Never end by itself; when told to, write more than a pipe holds, and then leave its process id in `path`."""
    try:
        time.sleep(300)
    finally:
        print("x" * 200_000)
        leave(path, os.getpid())


@register("tests:family")
def family(path: str) -> None:
    """Leave its own and its children's process ids in `path`, and never end."""
    child = subprocess.Popen(["sh", "-c", "sleep 300 & echo $!; wait"], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    leave(path, os.getpid(), child.pid, int(child.stdout.readline()))
    time.sleep(300)


@register("tests:daemon")
def daemon(path: str) -> None:
    """Leave behind a process in a session of its own, which holds on to the output; and never end."""
    child = subprocess.Popen(["sleep", "300"], start_new_session=True)
    leave(path, child.pid)
    time.sleep(300)


@register("tests:exit")
def leave_at_once(status: int) -> None:
    """End the process."""
    print("leaving")
    os._exit(status)


@register("tests:segfault")
def segfault() -> None:
    """Read an invalid address."""
    ctypes.string_at(0)


@register("tests:noisy_child")
def noisy_child(path: str) -> str:
    """Leave behind a child that writes without end, and return."""
    print("before the end")
    child = subprocess.Popen(["yes"])
    leave(path, child.pid)
    return "returned"


@register("tests:busy_child")
def busy_child(context: RunContext, path: str) -> None:
    """Leave behind a child that reports progress without end, and return."""
    child = os.fork()
    if not child:
        while True:
            context.progress(99)
            time.sleep(0.01)
    leave(path, child)


@register("tests:fork")
def fork(path: str) -> str:
    """Return twice: in this process, and in a child."""
    child = os.fork()
    if child:
        leave(path, child)
    return "parent" if child else "child"


FORKING = multiprocessing.get_context("fork")


@register("tests:async_wait")
async def async_wait(path: str) -> None:
    """Leave its process's id in `path`, wait in an event loop, and tidy up."""
    leave(path, os.getpid())
    try:
        await asyncio.sleep(300)
    finally:
        print("tidied up")


@register("tests:async_query")
async def async_query() -> list[int]:
    """Return how many jobs there are, by the ORM and by SQL."""
    ((count,),) = await sync_to_async(Database().execute)("SELECT count(*) FROM cronzimus_job")
    return [await Job.objects.acount(), count]


@register("tests:leave_pool")
def leave_pool() -> list[int]:
    """Leave a pool of forked processes while its processes are at work."""
    with FORKING.Pool(2) as pool:
        squares = pool.map(abs, [-1, 2])
        pool.map_async(time.sleep, [300, 300])
    return squares


@register("tests:terminate_children")
def terminate_children(count: int) -> list[int | None]:
    """Terminate forked processes right after their start, and return how each ended."""
    ends = []
    for _ in range(count):
        child = FORKING.Process(target=time.sleep, args=(300,))
        child.start()
        child.terminate()
        child.join()
        ends.append(child.exitcode)
    return ends


@register("tests:handlers_of_a_child")
def handlers_of_a_child() -> list[str]:
    """Return how a forked child handles the signals that end a scheduler."""
    with FORKING.Pool(1) as pool:
        return pool.apply(handlers)


def handlers() -> list[str]:
    """Return the handlers of this process."""
    return [repr(signal.getsignal(number)) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]


@register("tests:ignoring_child")
def ignoring_child() -> str:
    """Ignore a signal, and return how a forked child handles it."""
    before = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with FORKING.Pool(1) as pool:
            found = pool.apply(handlers)[0]
            pool.close()  # its process ignores SIGTERM, by which leaving a pool ends it
            pool.join()
        return found
    finally:
        signal.signal(signal.SIGTERM, before)


@register("tests:printing_child")
def printing_child() -> None:
    """Print in a forked child."""
    child = FORKING.Process(target=print, args=("printed by a forked child",), kwargs={"flush": True})
    child.start()
    child.join()
    print("printed by its parent")


@register("tests:spoil")
def spoil() -> None:
    """Spoil as much of its process as it can."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.chdir("/")
    os.close(1)
    sys.stderr.close()
    sys.stdout = io.StringIO()


@register("tests:spoil_signals")
def spoil_signals() -> None:
    """Spoil signal handlers, the alarm and the umask of its process."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    signal.alarm(2)
    os.umask(0)
    os.environ["SPOILT"] = "yes"


@register("tests:surroundings")
def surroundings() -> list[object]:
    """Return what `spoil_signals` spoils, after the alarm would have rung."""
    time.sleep(2.5)
    mask = os.umask(0o22)
    os.umask(mask)
    return [sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())), mask, os.environ.get("SPOILT")]


@register("tests:without_output")
def without_output() -> str:
    """Take the output away."""
    sys.stdout = None
    del sys.stderr
    return "returned"


@register("tests:die_later")
def die_later() -> int:
    """Return, and leave something behind that ends the process."""
    threading.Timer(0.2, os._exit, (3,)).start()
    return os.getpid()


@register("tests:leave_a_thread")
def leave_a_thread(path: str, context: RunContext) -> None:
    """Leave a thread behind that writes in every way, and reports progress, when `path` is there."""

    def write_late() -> None:
        while not os.path.exists(path):
            time.sleep(0.01)
        print("late output")
        print("late error", file=sys.stderr)
        context.logger.warning("late log")
        context.progress(1, 99)
        os.remove(path)

    print("in time")
    threading.Thread(target=write_late, daemon=True).start()


@register("tests:wake_a_thread")
def wake_a_thread(path: str) -> None:
    """Let the thread that `leave_a_thread` left behind write, in the middle of a line."""
    print("own ", end="")
    Path(path).touch()
    while os.path.exists(path):
        time.sleep(0.01)
    print("output")


@register("tests:leave_a_child")
def leave_a_child(path: str) -> None:
    """Leave a process behind that writes when `path` is there, and then removes it."""
    code = 'while [ ! -e "$0" ]; do sleep 0.02; done; echo from a child that was left behind; rm "$0"'
    subprocess.Popen(["sh", "-c", code, path])


@register("tests:die_beside_a_child")
def die_beside_a_child(path: str) -> None:
    """End the process, but not its child, which holds whatever it held."""
    child = os.fork()
    if child:
        leave(path, child)
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(300)


@register("tests:seize")
def seize(path: str, seconds: float) -> None:
    """Leave behind a thread that makes the file `path`, and then keeps the interpreter to itself for so long, in C."""
    sleep = ctypes.PyDLL(None).usleep

    def keep() -> None:
        time.sleep(0.2)
        leave(path, os.getpid())
        sleep(int(seconds * 1_000_000))

    threading.Thread(target=keep, daemon=True).start()


def leave(path: str, *pids: int) -> None:
    """Write process ids to `path`, whole or not at all."""
    part = Path(f"{path}.part")
    part.write_text(" ".join(map(str, pids)))
    part.rename(path)


@register("tests:talk")
def talk(times: int, context: RunContext, marks: str = "") -> None:
    """Say something and the time twice a second, with progress, after a mark in `marks`."""
    if marks:
        leave_mark(marks, context)
    for number in range(1, times + 1):
        print(f"said {number} at {time.time()}", flush=True)
        context.progress(number, times)
        time.sleep(0.5)
