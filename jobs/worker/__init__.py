"""What runs a function, here or in a process of its own."""
