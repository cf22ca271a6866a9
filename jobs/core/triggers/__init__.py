"""Triggers: what people write, when it fires, and in which words."""
