"""A shop that adds Cronzimus to what it has: docs/embed.md is what it followed."""
