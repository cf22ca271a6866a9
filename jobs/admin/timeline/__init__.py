"""The timeline: what ran, runs and will run, on a true axis of time."""
