"""The start page: whether all is well, and what is not."""
