"""Serve an export over gRPC and REST, as TensorFlow Serving does: for laptops and tests.

    python bin/serve.py --export=EXPORT_BASE [--port=8500 --rest_port=8501]

In production use TensorFlow Serving itself; docs/serving.md has the command.
"""

import sys
from pathlib import Path

# Run from a checkout, the checkout's own package is the one that is meant.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tfvrnn import config_flags, program
from tfvrnn.program_config import ServeConfig


def main(arguments: list[str]) -> None:
    wanted = ServeConfig(**config_flags.parse_changes(arguments, ServeConfig))

    # TensorFlow takes seconds to import: only after every option was found in order.
    from tfvrnn.serving.server import serve

    serve(wanted)


if __name__ == "__main__":
    program.run(main, __doc__, ServeConfig)
