"""Every SQL statement of the scheduler's process."""
