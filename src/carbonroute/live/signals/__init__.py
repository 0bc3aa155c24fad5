"""Live carbon: providers, each in one file and one line here, and the feed that falls back between them."""
