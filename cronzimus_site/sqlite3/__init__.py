"""Django's backend for SQLite, with transactions that wait for the lock in a way that is fair."""
