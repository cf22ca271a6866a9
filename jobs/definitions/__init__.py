"""The one validator of job definitions."""
