"""The timeline: past, running and coming runs on an axis of time."""
