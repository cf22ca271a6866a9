"""Secrets by reference: `{"$secret": "NAME"}` stands in arguments for a value that is read when the job runs.

The value itself is in no row. `Masker` hides it in the output of a run; `masked` hides probable secrets that stand in
arguments as plain text.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

KEY = "$secret"
"""The one key of a reference."""
MASK = "***"
"""The text shown in place of a secret."""
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,127}", re.ASCII)
"""The form of a secret's name: it names an environment variable or a file."""
LEAST_LINE = 8
"""Characters from which on a line of a secret with several lines is masked by itself."""
_SECRET_WORDS = re.compile(
    r"(?<![a-z])(pass|passwd|pwd|pw)(?![a-z])|passw|passphrase|secret|token|credential|authorization|cookie|bearer"
    r"|(api|access|private|signing|encryption)[_-]?key|(?<![a-z])dsn(?![a-z])"
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_PASSWORD_IN_URL = re.compile(r"(?<=://)([^/\s:@]*):([^/\s@]+)@")
_PARAMETER_IN_URL = re.compile(r"(?<=[?&])([^=&#\s?]+)=([^&#\s]+)")


def is_reference(value: object) -> bool:
    """Tell whether `value` is a well-formed reference to a secret."""
    return isinstance(value, Mapping) and value.keys() == {KEY} and _is_name(value[KEY])


def _is_name(name: object) -> bool:
    return isinstance(name, str) and NAME.fullmatch(name) is not None


def reference_problem(value: object) -> str:
    """Return the error in the references of a JSON value, "" if there is none."""
    for part in _mappings(value):
        if KEY in part and not is_reference(part):
            return (
                f'has a wrong reference to a secret: write {{"{KEY}": "NAME"}}, without other keys; '
                "a name has 1 to 128 letters, digits and _ . -, a letter or _ first"
            )
    return ""


def names_in(*values: object) -> list[str]:
    """Return the names of the secrets that JSON values refer to, each once, in their order."""
    found = [part[KEY] for value in values for part in _mappings(value) if is_reference(part)]
    return list(dict.fromkeys(found))


def replaced(value: Any, read: Callable[[str], Any]) -> Any:
    """Return a JSON value with `read(name)` in place of each reference. Values without one are returned as they are."""
    if isinstance(value, dict):
        return read(value[KEY]) if is_reference(value) else {name: replaced(part, read) for name, part in value.items()}
    return [replaced(part, read) for part in value] if isinstance(value, list) else value


def looks_secret(name: str) -> bool:
    """Tell whether a value under this name is probably a secret: "password", "apiKey", "Authorization"."""
    return _SECRET_WORDS.search(_CAMEL.sub("_", name).lower()) is not None


def plain_secrets(value: object) -> list[str]:
    """Return the names in a JSON value that look secret and have a text, not a reference, each once."""
    found = [
        name
        for part in _mappings(value)
        if KEY not in part
        for name, item in part.items()
        if isinstance(item, str) and item and looks_secret(name)
    ]
    return list(dict.fromkeys(found))


def masked(value: Any, *, hide: bool = False) -> Any:
    """Return a JSON value with `MASK` for texts whose names look secret, and for passwords and such texts in URLs.

    References stay: they reveal nothing. With `hide` every text is masked.
    """
    if isinstance(value, Mapping):
        if is_reference(value):
            return dict(value)
        return {name: masked(part, hide=hide or looks_secret(str(name))) for name, part in value.items()}
    if isinstance(value, list):
        return [masked(part, hide=hide) for part in value]
    if not isinstance(value, str) or not value:
        return value
    return MASK if hide else _masked_url(value)


def _masked_url(text: str) -> str:
    if "://" not in text:
        return text
    text = _PASSWORD_IN_URL.sub(rf"\1:{MASK}@", text)
    return _PARAMETER_IN_URL.sub(lambda found: f"{found[1]}={MASK if looks_secret(found[1]) else found[2]}", text)


def _mappings(value: object) -> Iterator[Mapping[str, Any]]:
    """Yield each object in a JSON value, in the order of the text. The call stack does not grow."""
    stack = [value]
    while stack:
        part = stack.pop()
        if isinstance(part, Mapping):
            yield part
            stack += reversed([*part.values()])
        elif isinstance(part, list):
            stack += reversed(part)


class Masker:
    """Puts `MASK` in place of secrets, in whole texts and in a text that comes in pieces.

    A secret is also found as JSON, Python, HTML, a URL and a shell write it, and each long line of one with several
    lines.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        """Mask `secrets`; empty ones are left out."""
        forms = {form for secret in secrets for form in _forms(secret) if form}
        self._forms = sorted(forms, key=len, reverse=True)
        self._longest = len(self._forms[0]) if self._forms else 0
        self._first = {form[0] for form in self._forms}
        # The longest first: Python takes the first alternative that matches.
        self._pattern = re.compile("|".join(map(re.escape, self._forms)) or r"(?!)")
        self._held = ""

    def mask(self, text: str) -> str:
        """Return a whole text with its secrets masked."""
        return self._pattern.sub(MASK, text)

    def feed(self, text: str) -> str:
        """Return the next piece of a text, masked. An end that may be the beginning of a secret is held back."""
        text = self._held + text
        held_from = self._possible_start(text)
        parts, place = [], 0
        for match in self._pattern.finditer(text):
            if match.start() >= held_from:  # a longer secret may begin here
                break
            parts += [text[place : match.start()], MASK]
            place = match.end()
        end = max(place, held_from)
        self._held = text[end:]
        return "".join([*parts, text[place:end]])

    def flush(self) -> str:
        """Return the held-back end of the text, masked."""
        text, self._held = self.mask(self._held), ""
        return text

    def _possible_start(self, text: str) -> int:
        """Return the first place from which the rest of `text` is the beginning of a longer secret."""
        for place in range(max(len(text) - self._longest + 1, 0), len(text)):
            if text[place] not in self._first:
                continue
            rest = text[place:]
            if any(len(form) > len(rest) and form.startswith(rest) for form in self._forms):
                return place
        return len(text)


def _forms(secret: str) -> Iterator[str]:
    yield secret
    for written in (json.dumps(secret), json.dumps(secret, ensure_ascii=False), repr(secret), ascii(secret)):
        yield written[1:-1]
    yield repr(secret.encode("utf-8", "backslashreplace"))[2:-1]
    yield html.escape(secret)
    yield secret.replace("'", "'\\''")  # as `set -x` of a shell shows it
    yield quote(secret, safe="", errors="replace")
    yield quote(secret, errors="replace")
    yield quote_plus(secret, errors="replace")
    yield from (line for line in secret.splitlines() if len(line) >= LEAST_LINE)
