"""The static files of the product's site: under names with a hash, so that browsers may keep them."""

from __future__ import annotations

import logging
from typing import Any

from django.contrib.staticfiles import finders
from whitenoise.storage import CompressedManifestStaticFilesStorage

logger = logging.getLogger("cronzimus_site.static_files")


class StaticFiles(CompressedManifestStaticFilesStorage):
    """The files that `collectstatic` has collected. A page works without those that it has not."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Know of no missing file."""
        super().__init__(*args, **kwargs)
        self._told: set[str] = set()

    def stored_name(self, name: str) -> str:
        """Return the name of a file with its hash; the name itself if the file was not collected."""
        try:
            return str(super().stored_name(name))
        except ValueError:
            # WhiteNoise asks for names that no file has, to find out which have a hash.
            if name not in self._told and finders.find(name):
                self._told.add(name)
                logger.warning("the static file %s is missing: run manage.py collectstatic", name,
                               extra={"action": "static_file_missing"})  # fmt: skip
            return name
