"""Long outputs: the part that is kept, and the offsets at which readers go on.

Of an output longer than `LIMIT` the first `HEAD` and the last `TAIL` characters are kept, with a line between that says
how many were left out. An offset counts all characters that a run has written, kept or not, so a reader's offset stays
right while more is written and the middle is dropped.
"""

from __future__ import annotations

from typing import NamedTuple

LIMIT = 256 * 1024
"""Characters kept of one run's output, that line included."""
HEAD = LIMIT // 2
"""Characters kept of the start of a longer output."""
TAIL = LIMIT - HEAD - 64
"""Characters kept of its end: 64 are left for that line."""


class StoredOutput(NamedTuple):
    """The output of a run as the database has it: `text`, in which `omitted` characters are left out after the head."""

    text: str
    omitted: int = 0

    @property
    def size(self) -> int:
        """How many characters the run has written."""
        return len(self.text) + (self.omitted - len(gap_line(self.omitted)) if self.omitted else 0)


def gap_line(omitted: int) -> str:
    """Return the line that stands for the characters left out."""
    return f"\n[{omitted:,} characters left out]\n"


def position(offset: int, omitted: int) -> int:
    """Return the position in a stored output from which `read_from` needs the text to read from `offset` on."""
    return offset if offset <= HEAD else max(HEAD, offset - omitted)


def read_from(offset: int, text: str, omitted: int) -> tuple[str, int]:
    """Return the output of a run from the character `offset` on, and the offset at which it goes on.

    `text` is the stored output from `position` on, in which `omitted` characters are left out after the head. Where the
    offset is one of these, the text begins with such a line.
    """
    if not omitted:
        return text, offset + len(text)
    end_of_gap = HEAD + omitted
    if offset < HEAD:
        return text, offset + len(text) - len(gap_line(omitted)) + omitted
    text = text[len(gap_line(omitted)) :]
    if offset < end_of_gap:
        return gap_line(end_of_gap - offset) + text, end_of_gap + len(text)
    return text, offset + len(text)
