"""A shop that has added Cronzimus by docs/embed.md."""
