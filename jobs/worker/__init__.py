"""Call the functions of runs, in the scheduler's own process, in processes of their own, or in Celery workers."""
