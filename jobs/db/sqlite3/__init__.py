"""Django's backend for SQLite, with a fair wait for the lock, and tolerance for damaged rows."""
