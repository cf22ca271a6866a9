"""The functions that jobs may call, and their arguments."""
