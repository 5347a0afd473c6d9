"""The command `tfvrnn`, which runs one of the programs."""

import difflib
import importlib
import sys
from typing import NoReturn

import tfvrnn
from tfvrnn.cli import runtime

PROGRAMS = (
    "train",
    "sample",
    "predict",
    "demo",
    "evaluate",
    "measure",
    "export",
    "serve",
    "prepare",
    "fetch",
)


def main() -> NoReturn:
    """Run the program that the first argument names, with the remaining arguments."""
    name, *arguments = sys.argv[1:] or ["--help"]
    if name == "help" and arguments:  # tfvrnn help train
        name, arguments = arguments[0], ["--help"]
    if name in ("-h", "--help", "help"):
        print(usage())
        sys.exit(0)
    if name == "--version":
        print(f"tfvrnn {tfvrnn.__version__}")
        sys.exit(0)
    if name not in PROGRAMS:
        nearest = difflib.get_close_matches(name, PROGRAMS, 1, 0.0)[0]
        print(f"error: unknown program {name}; the nearest is {nearest}", file=sys.stderr)
        sys.exit(runtime.USER_MISTAKE)
    run(name, arguments)


def run(name: str, arguments: list[str] | None = None) -> NoReturn:
    """Run a program and exit.

    Args:
        name: one of PROGRAMS.
        arguments: its options; None: those of the command line.
    """
    module = importlib.import_module(f"tfvrnn.cli.{name}")
    runtime.run(module.main, module.__doc__ or "", module.Options, arguments)


def usage() -> str:
    """List the programs, one per line."""
    lines = ["Stochastic video prediction: tfvrnn PROGRAM [--option=value ...]", ""]
    lines += [f"  {name:10}{summary(name)}" for name in PROGRAMS]
    return "\n".join([*lines, "", "tfvrnn PROGRAM --help lists the options of a program."])


def summary(name: str) -> str:
    """Return the one-line summary of a program."""
    described = importlib.import_module(f"tfvrnn.cli.{name}").__doc__ or ""  # none under -OO
    return described.partition("\n")[0]
