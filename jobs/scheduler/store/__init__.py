"""The SQL of the loop: what a scheduler, or a Celery worker, asks the database again and again."""
