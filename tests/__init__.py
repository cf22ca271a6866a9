"""The tests: unit (no database), integration (a database, no other process) and acceptance (real processes)."""
