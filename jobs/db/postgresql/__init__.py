"""Django's backend for PostgreSQL, with a health check that asks the server only where there is cause to."""
