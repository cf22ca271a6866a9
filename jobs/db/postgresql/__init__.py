"""Django's backend for PostgreSQL, with a health check that rarely needs the server."""
