"""Django's backend for SQLite, which waits for the lock in a way that is fair, and reads damaged rows."""
