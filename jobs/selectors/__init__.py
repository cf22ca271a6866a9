"""The reads that the API, the admin and the command line share."""
