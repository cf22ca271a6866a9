"""The library in a host project: the built wheel, in an environment of its own."""
