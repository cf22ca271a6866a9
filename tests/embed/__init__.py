"""The library in a project of somebody else's: the built wheel, in an environment of its own."""
