"""The shop's users."""
