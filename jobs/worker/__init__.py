"""The Celery worker: it takes runs off its queues, has child processes call their functions, and records the ends."""
