"""`python -m latentsync_core`."""

import sys

from latentsync_core.cli import main

if __name__ == "__main__":
    sys.exit(main())
