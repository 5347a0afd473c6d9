"""The models that come with the package."""

from pathlib import Path

FOLDER = Path(__file__).parent / "pretrained"
NAMES = ("smmnist",)
