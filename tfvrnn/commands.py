"""Shell commands for the user to type next, valid in the folder where they are printed."""

import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
# Programs whose scripts in bin/ have longer names.
SCRIPTS = {"prepare": "prepare_data.py", "fetch": "fetch_weights.py"}


def program(name: str, **options: Any) -> str:
    """Return the command that runs a program.

    It is `tfvrnn sample --run_dir=runs/a` if the command `tfvrnn` runs now, else `python
    bin/sample.py` in a checkout. An installed package has no bin/ beside it, so there it is `python
    -m tfvrnn sample`. A `__` in an option's name stands for a dot.
    """
    if Path(sys.argv[0]).name == "tfvrnn":
        known = shutil.which("tfvrnn") == sys.argv[0]
        return shlex.join(["tfvrnn" if known else from_here(sys.argv[0]), name, *_flags(options)])
    script = ROOT / "bin" / SCRIPTS.get(name, f"{name}.py")
    if script.is_file():
        return _command(from_here(script), options)
    return module("tfvrnn", name, **options)


def module(name: str, *words: str, **options: Any) -> str:
    """Return the command that runs a Python module: `python -m NAME --option=value`."""
    return _command("-m", options, name, *words)


def quoted(value: object) -> str:
    """Quote a value as one word of a command."""
    return shlex.quote(str(value))


def from_here(path: str | Path) -> str:
    """Return a path relative to the current folder, or the absolute path if that is shorter."""
    short = min(os.path.relpath(path), os.path.abspath(path), key=len)  # noqa: PTH100
    # It must look neither like an option nor like a name that a shell looks up in PATH.
    return short if "/" in short and not short.startswith("-") else f"./{short}"


def _command(start: str, options: dict[str, Any], *words: str) -> str:
    return shlex.join([from_here(sys.executable), start, *words, *_flags(options)])


def _flags(options: dict[str, Any]) -> list[str]:
    return [f"--{name.replace('__', '.')}={value}" for name, value in options.items()]
