"""Run `tfvrnn prepare` from a checkout."""

import sys
from pathlib import Path

# Import the package of this checkout, not an installed one.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tfvrnn.cli import main

if __name__ == "__main__":
    main.run("prepare")
