"""The documentation: its generated pages, and the check of the built site."""
