"""The subcommands of `manage.py cronzimus`, one module for each group of them."""
