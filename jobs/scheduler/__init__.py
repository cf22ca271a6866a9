"""The process that runs jobs: it claims what is due, has it run, and records what came of it."""
