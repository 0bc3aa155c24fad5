"""Files: reading what others made within limits, writing so that nothing is torn, and spelling values."""
