"""A scenario as arrays, which engines take."""
