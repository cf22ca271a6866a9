"""Call the functions of runs, in a thread of this process, or in child processes."""
