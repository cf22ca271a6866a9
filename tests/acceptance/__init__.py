"""Real processes, real databases, real time: what a person would see who kills, stops and restarts things."""
