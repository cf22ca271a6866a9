"""Output for terminals becomes HTML: colours are classes, and no other sequence gets through."""

from __future__ import annotations

import pytest

from jobs.admin.runs.ansi import plain, to_html


@pytest.mark.parametrize(
    ("line", "html"),
    [
        ("plain <b>", "plain &lt;b&gt;"),
        ("\x1b[32mgreen\x1b[0m rest", '<span class="ansi-g">green</span> rest'),
        ("\x1b[1;91mbold\x1b[22m red", '<span class="ansi-bold ansi-r">bold</span><span class="ansi-r"> red</span>'),
        ("\x1b[4mline\x1b[24m.", '<span class="ansi-under">line</span>.'),
        ("\x1b[38;5;208morange\x1b[m", "orange"),
        ("\x1b[38;2;1;2;3;31mred", '<span class="ansi-r">red</span>'),
        ("\x1b[2K\x1b[1Gmoved", "moved"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;https://example.com\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("10 %\r50 %\rdone", "done"),
        ("dos\r", "dos"),
        ("bell\x07", "bell\ufffd"),
        ("\x1b[99999999999mx", "x"),
        ("\x1b", "\ufffd"),
        ("\x1b[31m<script>", '<span class="ansi-r">&lt;script&gt;</span>'),
    ],
)
def test_a_line_is_shown_as_a_terminal_would(line, html):
    assert to_html(line) == html


def test_without_control_sequences_the_words_are_left():
    assert plain("\x1b[31mERROR\x1b[0m a\x07") == "ERROR a"
