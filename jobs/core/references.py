"""References to Python objects, `module:name`, as settings give them."""

from __future__ import annotations

import importlib
import re
from typing import Any

from .values import did_you_mean

_DOTTED = r"[^\W\d]\w*(\.[^\W\d]\w*)*"


def is_reference(text: str) -> bool:
    """Tell whether `text` has the form `module:name`."""
    return re.fullmatch(f"{_DOTTED}:{_DOTTED}", text) is not None


def resolve(reference: str) -> Any:
    """Import the module of `reference`, and return the object that it names.

    Raises `ValueError`, whose message does not repeat the reference.
    """
    if not is_reference(reference):
        raise ValueError("is not of the form 'module:name', such as shop.tasks:send")
    module, _, name = reference.partition(":")
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ValueError(f"there is no module {error.name!r}") from error
    except Exception as error:
        raise ValueError(f"importing {module} raised {type(error).__name__}: {error}") from error
    for part in name.split("."):
        if not hasattr(found, part):
            owner = getattr(found, "__name__", module)
            raise ValueError(f"{owner} has no {part!r}{did_you_mean(part, dir(found))}")
        found = getattr(found, part)
    return found
