"""Control: what a router knows at a moment, and how its decision is kept within limits."""
