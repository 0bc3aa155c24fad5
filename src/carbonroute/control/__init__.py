"""Control: a router's knowledge at a moment, and the limits on its decisions."""
