"""The output and the log of a run are kept with it, and with no other run."""

from __future__ import annotations

import io
import logging
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.pool import ThreadPool
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.calls.output import Output, capture_installed, captured, storable
from jobs.core.output import HEAD, LIMIT, TAIL, gap_line, position, read_from

logger = logging.getLogger("job.test")


@contextmanager
def of_a_run() -> Iterator[Output]:
    """Capture as a scheduler does (not in a fixture: pytest changes the streams between set-up and test)."""
    with capture_installed(), captured() as output:
        yield output


def test_what_is_printed_is_kept() -> None:
    with of_a_run() as output:
        print("hello")
    assert output.stored().text == "hello\n"


def test_standard_error_is_kept_in_the_same_order() -> None:
    with of_a_run() as output:
        print("one")
        print("two", file=sys.stderr)
        print("three")
    assert output.stored().text == "one\ntwo\nthree\n"


def test_bytes_are_kept_as_the_text_that_they_are() -> None:
    with of_a_run() as output:
        print("one", flush=True)
        sys.stdout.buffer.write(b"tw\xc3\xb6 \xff\n")
    assert output.stored().text == "one\ntwö \ufffd\n"


def test_what_is_logged_is_kept_with_its_level_and_name() -> None:
    with of_a_run() as output:
        logger.warning("it is %s", "late")
    assert output.stored().text == "WARNING job.test: it is late\n"


def test_a_logged_exception_is_kept_with_its_traceback() -> None:
    with of_a_run() as output:
        try:
            raise ValueError("bad")
        except ValueError:
            logger.exception("failed")
    assert output.stored().text.endswith("ValueError: bad\n")


def test_a_log_call_with_wrong_arguments_does_not_end_the_run() -> None:
    wrong = logging.makeLogRecord({"msg": "%d", "args": ("no number",)})
    with of_a_run() as output:
        logging.getLogger().handlers[-1].handle(wrong)  # not pytest's own handler, which would raise
    assert "Logging error" in output.stored().text


def test_what_threads_print_that_no_run_started_is_not_kept(capsys: pytest.CaptureFixture[str]) -> None:
    go_on = threading.Event()
    with capture_installed():
        other = threading.Thread(target=lambda: go_on.wait(60) and print("from elsewhere"))
        other.start()
        with captured() as output:
            go_on.set()
            other.join()
    assert output.stored().text == ""
    assert capsys.readouterr().out == "from elsewhere\n"


# --- threads that a run starts ---------------------------------------------------------------------------------------


def test_what_a_thread_of_the_run_prints_and_logs_is_kept() -> None:
    def work() -> None:
        print("from a thread")
        logger.info("logged")

    with of_a_run() as output:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert output.stored().text == "from a thread\nINFO job.test: logged\n"


def test_what_a_thread_of_a_thread_prints_is_kept() -> None:
    def outer() -> None:
        inner = threading.Timer(0, print, ("from inside",))
        inner.start()
        inner.join()

    with of_a_run() as output:
        thread = threading.Thread(target=outer)
        thread.start()
        thread.join()
    assert output.stored().text == "from inside\n"


class Greeter(threading.Thread):
    """A thread with a `run` of its own."""

    def run(self) -> None:
        print("hello from", self.name)


def test_what_a_subclass_of_thread_prints_is_kept() -> None:
    with of_a_run() as output:
        thread = Greeter(name="g")
        thread.start()
        thread.join()
    assert output.stored().text == "hello from g\n"
    assert "run" not in vars(thread)


@pytest.mark.parametrize("pool_of", [ThreadPoolExecutor, ThreadPool])
def test_what_a_pool_of_threads_prints_is_kept(pool_of: Any) -> None:
    with of_a_run() as output, pool_of(2) as pool:
        list(pool.map(lambda line: sys.stdout.write(line), ["x\n", "x\n"]))  # in one piece: `print` writes two
    assert output.stored().text == "x\nx\n"


def test_a_thread_pool_that_outlives_a_run_prints_for_the_run_that_uses_it() -> None:
    with ThreadPoolExecutor(1) as pool, capture_installed():
        outputs = []
        for number in range(2):
            with captured() as output:
                pool.submit(print, "run", number).result(60)
            outputs.append(output.end().text)
    assert outputs == ["run 0\n", "run 1\n"]


def test_what_a_thread_prints_after_its_run_has_ended_goes_to_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    printed, go_on = threading.Event(), threading.Event()

    def work() -> None:
        print("before")
        printed.set()
        go_on.wait(60)
        print("after")

    with capture_installed():
        with captured() as output:
            thread = threading.Thread(target=work)
            thread.start()
            assert printed.wait(60)
            assert output.end().text == "before\n"
        go_on.set()
        thread.join()
    assert output.stored().text == "before\n"
    assert capsys.readouterr().out == "after\n"


def test_threads_are_as_they_were_after_the_scheduler() -> None:
    before = threading.Thread.start, ThreadPoolExecutor.submit
    with capture_installed():
        assert before != (threading.Thread.start, ThreadPoolExecutor.submit)
    assert before == (threading.Thread.start, ThreadPoolExecutor.submit)


def test_what_others_made_of_threads_meanwhile_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading.Thread, "start", threading.Thread.start)  # restored in the end
    with capture_installed():
        ours = threading.Thread.start

        def theirs(thread: threading.Thread) -> None:
            ours(thread)

        threading.Thread.start = theirs  # type: ignore[method-assign]
    assert threading.Thread.start is theirs
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()


# --- streams ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_streams_that_a_function_replaced_are_put_back_when_its_run_has_ended(name: str) -> None:
    with capture_installed():
        with captured():
            setattr(sys, name, io.StringIO())
        with captured() as output:
            print("next", file=getattr(sys, name))
    assert output.stored().text == "next\n"


def test_streams_are_not_put_back_while_a_run_may_still_need_its_own() -> None:
    own = io.StringIO()
    with capture_installed():
        with captured():
            with captured():
                sys.stdout = own  # from this run or from the one around it, which cannot be known
            print("own")
            with captured():
                print("own too")
        with captured() as output:
            print("next")
    assert (own.getvalue(), output.stored().text) == ("own\nown too\n", "next\n")


def test_a_log_handler_that_a_function_removed_is_put_back() -> None:
    root = logging.getLogger()
    handlers = root.handlers[:]
    with capture_installed():
        try:
            with captured():
                root.handlers = []
            with captured() as output:
                logger.warning("next")
        finally:
            root.handlers = [*handlers, *root.handlers]
    assert output.stored().text == "WARNING job.test: next\n"
    assert root.handlers == handlers


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_a_run_may_print_where_the_process_has_no_standard_streams(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(sys, name, None)
    with capture_installed():
        with captured() as output:
            print("one", file=getattr(sys, name), flush=True)
        print("outside", file=getattr(sys, name), flush=True)
    assert output.stored().text == "one\n"
    assert getattr(sys, name) is None


def test_a_flush_of_a_run_does_not_reach_the_streams_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stdout", closed)
    with of_a_run() as output:
        print("one", flush=True)
    assert output.stored().text == "one\n"


def test_a_run_may_reconfigure_its_stream() -> None:
    with of_a_run() as output:
        sys.stdout.reconfigure(encoding="utf-8", line_buffering=True)  # type: ignore[attr-defined]
        print("one")
    assert output.stored().text == "one\n"


def test_the_outputs_of_many_threads_do_not_mix() -> None:
    outputs: dict[int, str] = {}
    barrier = threading.Barrier(8)

    def run(number: int) -> None:
        with captured() as output:
            barrier.wait(timeout=60)
            for _ in range(200):
                print(number)
                logger.warning("%d", number)
        outputs[number] = output.stored().text

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    with capture_installed():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert outputs == {number: f"{number}\nWARNING job.test: {number}\n" * 200 for number in range(8)}


def test_output_after_the_end_of_a_run_is_not_kept() -> None:
    with of_a_run() as output:
        print("inside")
    print("outside")
    assert output.stored().text == "inside\n"


def test_output_within_output_is_kept_once() -> None:
    with of_a_run() as outer:
        print("a")
        with captured() as inner:
            print("b")
        print("c")
    assert (outer.stored().text, inner.stored().text) == ("a\nc\n", "b\n")


def test_the_streams_and_the_root_logger_are_restored() -> None:
    streams, handlers = (sys.stdout, sys.stderr), list(logging.getLogger().handlers)
    with capture_installed():
        assert sys.stdout is not streams[0]
    assert (sys.stdout, sys.stderr) == streams
    assert logging.getLogger().handlers == handlers


def test_the_streams_are_restored_after_an_error() -> None:
    streams = sys.stdout, sys.stderr
    with pytest.raises(RuntimeError), capture_installed():
        raise RuntimeError
    assert (sys.stdout, sys.stderr) == streams


# --- long outputs ----------------------------------------------------------------------------------------------------


def test_output_up_to_the_limit_is_kept_whole() -> None:
    output = Output()
    output.write("x" * (LIMIT - 1))
    output.write("y")
    assert output.stored() == ("x" * (LIMIT - 1) + "y", 0)


def test_of_longer_output_the_head_and_the_tail_are_kept_with_a_mark_between() -> None:
    output = Output()
    for number in range(60_000):
        output.write(f"line {number:05}\n")
    text, omitted = output.stored()
    assert omitted == 60_000 * len("line 00000\n") - HEAD - TAIL
    assert text.startswith("line 00000\nline 00001\n")
    assert text.endswith("line 59998\nline 59999\n")
    assert text[HEAD:].startswith(gap_line(omitted))
    assert len(text) <= LIMIT


@pytest.mark.parametrize("sizes", [[10**6], [LIMIT, 1], [LIMIT - 1, 10**6], [HEAD, TAIL, 10**6, 1], [1] * (LIMIT + 1)])
def test_output_of_any_pieces_is_cut_alike(sizes: list[int]) -> None:
    output, whole = Output(), ""
    for number, size in enumerate(sizes):
        piece = chr(ord("a") + number % 26) * size
        output.write(piece)
        whole += piece
    omitted = len(whole) - HEAD - TAIL
    assert output.stored() == (whole[:HEAD] + gap_line(omitted) + whole[-TAIL:], omitted)
    assert output.stored().size == output.size == len(whole)


def test_a_flood_takes_no_memory_beyond_the_limit() -> None:
    output = Output()
    tracemalloc.start()
    try:
        for _ in range(1000):
            output.write("x" * 10_000)
        for _ in range(100_000):
            output.write("xy")
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert output.size == 10_200_000
    assert used < 4 * LIMIT


@given(st.lists(st.integers(0, 90_000), max_size=12), st.data())
def test_a_reader_gets_every_character_once_or_a_mark_for_it(sizes: list[int], data: st.DataObject) -> None:
    output, written = Output(), ""
    offset, read, last = 0, "", 0
    for size in sizes:
        piece = "".join(chr(ord("a") + (len(written) + index) % 26) for index in range(size))
        output.write(piece)
        written += piece
        if data.draw(st.booleans()):
            text, omitted = output.stored()
            got, last = read_from(offset, text[position(offset, omitted) :], omitted)
            assert last == len(written)
            missed = len(written) - offset - len(got)
            if got == written[offset:]:
                read += got
            else:  # the reader was too slow: a mark stands for what is left out
                before, _, after = got.partition("\n[")
                number, _, after = after.partition(" characters left out]\n")
                assert (
                    written[offset:] == before + written[offset + len(before) :][: int(number.replace(",", ""))] + after
                )
                assert missed > 0
            offset = last


def test_a_stored_output_is_read_from_any_offset() -> None:
    written = "".join(chr(ord("a") + index % 26) for index in range(LIMIT + 1000))
    output = Output()
    output.write(written)
    text, omitted = output.stored()
    for offset in (0, HEAD - 1, HEAD, HEAD + 1, HEAD + omitted - 1, HEAD + omitted, len(written) - 1, len(written)):
        got, after = read_from(offset, text[position(offset, omitted) :], omitted)
        assert after == len(written)
        left_out = max(0, HEAD + omitted - max(offset, HEAD))
        gap = gap_line(left_out) if left_out else ""
        assert got == written[offset:HEAD] + gap + written[max(offset, HEAD + omitted) :]
    assert read_from(10**6, text[position(10**6, omitted) :], omitted) == ("", 10**6)


# --- text ------------------------------------------------------------------------------------------------------------


def test_nul_and_lone_surrogates_are_replaced() -> None:
    output = Output()
    output.write("a\x00b\ud800c\N{GRINNING FACE}")
    assert output.stored().text == "a\ufffdb?c\N{GRINNING FACE}"


@pytest.mark.parametrize("text", ["", "plain", "über", "\N{GRINNING FACE}"])
def test_good_text_is_stored_as_it_is(text: str) -> None:
    assert storable(text) == text


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_only_text_can_be_written_as_to_any_text_stream(stream: str) -> None:
    with of_a_run() as output:
        with pytest.raises(TypeError):
            getattr(sys, stream).write(b"bytes")
        print("after it")
    assert output.stored().text == "after it\n"


def test_the_stream_says_that_a_run_has_no_terminal() -> None:
    with of_a_run():
        assert not sys.stdout.isatty()
        assert sys.stdout.writable()
