"""The application of the product's Celery workers: `celery -A cronzimus_site worker -Q reports -c 8`."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cronzimus_site.settings")

from jobs.worker.app import app

__all__ = ["app"]
