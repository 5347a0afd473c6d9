"""Commands to type next: as a shell takes them, in the folder that they are printed in."""

import os
import shlex
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
# Programs whose scripts in bin/ have longer names.
SCRIPTS = {"prepare": "prepare_data.py", "fetch": "fetch_weights.py"}


def program(name: str, **options: Any) -> str:
    """The command that runs a program: `python bin/sample.py --run_dir=runs/a` in a checkout.

    An installed package has no bin/ beside it: there it is `python -m tfvrnn sample`. A `__` in the
    name of an option stands for its dot.
    """
    script = ROOT / "bin" / SCRIPTS.get(name, f"{name}.py")
    if script.is_file():
        return _command(from_here(script), options)
    return module("tfvrnn", name, **options)


def module(name: str, *words: str, **options: Any) -> str:
    """The command that runs a module of Python: `python -m NAME --option=value`."""
    return _command("-m", options, name, *words)


def quoted(value: object) -> str:
    """A word of a command."""
    return shlex.quote(str(value))


def from_here(path: str | Path) -> str:
    """The path as seen from the current folder, or the whole one where that is shorter."""
    short = min(os.path.relpath(path), os.path.abspath(path), key=len)  # noqa: PTH100
    # Neither an option nor a name that a shell looks up in PATH.
    return short if "/" in short and not short.startswith("-") else f"./{short}"


def _command(start: str, options: dict[str, Any], *words: str) -> str:
    flags = [f"--{name.replace('__', '.')}={value}" for name, value in options.items()]
    return shlex.join([from_here(sys.executable), start, *words, *flags])
