"""The description of the API in OpenAPI 3.1. It needs drf-spectacular, which nothing else needs."""
