"""`tfvrnn demo`, from a checkout."""

import sys
from pathlib import Path

# The checkout's own package is the one that is meant.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tfvrnn.cli import main

if __name__ == "__main__":
    main.run("demo")
