"""Django's settings for the tests: Cronzimus's own, in an environment without variables of the shell or of .env.

Only DATABASE_URL counts: SQLite without it. Every session has a database of its own, so that several may run at once.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path
from unittest import mock

import dotenv

ENVIRONMENT = {
    "DEBUG": "true",
    "SECRET_KEY": "only-for-tests",
    "TIME_ZONE": "UTC",
    "LOG_LEVEL": "INFO",
    "JOB_MODULES": "tests.job_functions",
}
KEPT = ("DATABASE_URL", "PATH", "HOME", "LANG")

kept = {name: os.environ[name] for name in KEPT if name in os.environ}
with (
    mock.patch.dict(os.environ, {**kept, **ENVIRONMENT}, clear=True),
    mock.patch.object(dotenv, "load_dotenv"),
):
    from cronzimus_site.settings import *  # noqa: F403
    from cronzimus_site.settings import DATABASES

if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # A file, not memory, so that threads and second connections lock each other out as in production.
    folder = Path(tempfile.mkdtemp(prefix="cronzimus-test-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    DATABASES["default"]["TEST"] = {"NAME": str(folder / "test.sqlite3")}
else:
    DATABASES["default"]["TEST"] = {"NAME": f"test_cronzimus_{os.getpid()}"}

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
WHITENOISE_AUTOREFRESH = True  # without DEBUG, WhiteNoise would need `collectstatic`
