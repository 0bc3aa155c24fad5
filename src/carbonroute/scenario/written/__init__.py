"""A scenario as its file states it: models, checks, and loading."""
