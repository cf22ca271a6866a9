"""Jobs as files: export, diff, apply, and the importers of other schedulers."""
