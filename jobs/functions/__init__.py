"""What jobs may call."""
