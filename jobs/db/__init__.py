"""Database backends tuned for many short writers."""
