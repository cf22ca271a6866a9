"""The pages of schedulers."""
