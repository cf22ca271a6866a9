"""The Django project: settings, URLs and the entry points of web servers."""

__version__ = "0.2.0"
