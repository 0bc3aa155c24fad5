"""``python -m carbonroute``: the command line, where the command itself is not on the path."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    try:
        from carbonroute.cli import main

        sys.exit(main())
    except KeyboardInterrupt:  # before `main` has begun, which ends by itself otherwise
        sys.exit(130)
