"""The built-in HTTP request: its arguments, its client and its guard."""
