"""The process that runs jobs: it claims due jobs, calls their functions, and records the outcomes."""
