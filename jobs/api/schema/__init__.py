"""The description of the API in OpenAPI 3.1. Only this package needs drf-spectacular."""
