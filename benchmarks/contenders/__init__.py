"""Who is measured: each module is a program of its own, which the harness starts with what it is to do."""
