"""Cronzimus: jobs that people manage in the Django admin and over a REST API, and a complete record of what ran."""

from .functions.context import Database, RunContext
from .functions.registry import register

__all__ = ["Database", "RunContext", "__version__", "register"]

__version__ = "0.2.0"
