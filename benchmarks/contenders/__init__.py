"""The contenders: each module is a program of its own, which the harness starts with an action."""
