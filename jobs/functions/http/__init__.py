"""HTTP requests of jobs: their arguments, the client, and the guard that keeps them off private networks.

Importing this package does not load the HTTP client, which costs 5 MB.
"""


class RequestFailed(Exception):
    """The request got no usable answer."""
