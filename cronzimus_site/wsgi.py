"""The WSGI application, for gunicorn and its like."""

import os
from collections.abc import Iterable
from typing import Any

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cronzimus_site.settings")

_django = get_wsgi_application()


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Answer a request. The answer to HEAD has no body: of one that has, gunicorn logs a warning for each request."""
    response: Any = _django(environ, start_response)
    if environ["REQUEST_METHOD"] != "HEAD":
        return response  # type: ignore[no-any-return]
    response.close()
    return []
