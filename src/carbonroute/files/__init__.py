"""Files: untrusted input read within limits, output written atomically, and values as text."""
