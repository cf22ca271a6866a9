"""Where the shop's tables are."""


class Routes:
    """The vacancies are in the archive; all else is left to Django."""

    def db_for_read(self, model, **hints):
        return "archive" if model._meta.app_label == "jobs" else None

    db_for_write = db_for_read

    def allow_migrate(self, db, app_label, **hints):
        if app_label == "jobs":
            return db == "archive"
        return False if db == "archive" else None
