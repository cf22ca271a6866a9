"""Show tracebacks with the frames of people's own code, and the frames of libraries folded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_FRAME = re.compile(r'  File "(?P<path>[^"]*)", line \d+')
_PACKAGE = re.compile(r"[/\\](?:site|dist)-packages[/\\](?P<name>[^/\\]+?)(?:\.py)?(?:[/\\]|$)")
_STANDARD = re.compile(r"<frozen |<string>|[/\\]lib[/\\]python3[^/\\]*[/\\]")
_OURS = f"{Path(__file__).parents[2]}/"
"""The folder in which Cronzimus is installed."""


class Part(NamedTuple):
    """Lines of a traceback. `look` is "" or "quiet", or "mark" for the frame of the error."""

    text: str
    look: str = ""


class _Frame(NamedTuple):
    text: str
    library: str


def own_frames(traceback: str) -> list[Part]:
    """Return `traceback` with the frames of libraries folded; [] if it has only frames of one sort."""
    pieces = list(_pieces(traceback))
    frames = [piece for piece in pieces if isinstance(piece, _Frame)]
    own = [frame for frame in frames if not frame.library]
    if not own or len(own) == len(frames):
        return []
    return list(_folded(pieces, last=own[-1]))


def _pieces(traceback: str) -> Iterator[_Frame | str]:
    frame: list[str] = []
    library = ""
    for line in traceback.splitlines(keepends=True):
        found = _FRAME.match(line)
        if frame and (found or not line.startswith("    ")):
            yield _Frame("".join(frame), library)
            frame = []
        if found:
            frame, library = [line], _library(found["path"])
        elif frame:
            frame.append(line)
        else:
            yield line
    if frame:
        yield _Frame("".join(frame), library)


def _library(path: str) -> str:
    """Return the library of a file, "" for code of the project."""
    if found := _PACKAGE.search(path):
        return found["name"]
    if path.startswith(_OURS):
        return "cronzimus"
    return "Python" if _STANDARD.search(path) else ""


def _folded(pieces: list[_Frame | str], last: _Frame) -> Iterator[Part]:
    folded: list[_Frame] = []
    for piece in pieces:
        if isinstance(piece, _Frame) and piece.library:
            folded.append(piece)
            continue
        yield from _fold(folded)
        folded = []
        if isinstance(piece, _Frame):
            yield Part(piece.text, "mark" if piece is last else "")
        else:
            yield Part(piece, "quiet" if piece.startswith("Traceback ") else "")
    yield from _fold(folded)


def _fold(frames: list[_Frame]) -> Iterator[Part]:
    if frames:
        names = ", ".join(dict.fromkeys(frame.library for frame in frames))
        yield Part(f"  … {len(frames)} frame{'' if len(frames) == 1 else 's'} of {names}\n", "quiet")
