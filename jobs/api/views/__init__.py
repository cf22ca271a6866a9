"""The views: read the request, call a service or a query, show the rows."""
