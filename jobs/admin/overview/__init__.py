"""The start page: whether all is well, and the problems."""
