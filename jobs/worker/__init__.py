"""What calls the functions: in the scheduler's own process, or in a process of its own."""
