"""The limits of size that keep the house readable."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(
    p for d in ("tfvrnn", "bin", "benchmarks", "tests") for p in (ROOT / d).rglob("*.py")
)
LONGEST_FILE, LONGEST_FUNCTION = 400, 40


LONGER = {"benchmarks/peers/torch_peer.py"}  # the yardstick, as it was given


def body_lines(function):
    """Lines of a function without its signature and its docstring."""
    begin = function.body[0].lineno
    if ast.get_docstring(function) is not None:
        begin = function.body[0].end_lineno + 1
    return function.end_lineno + 1 - begin


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_stay_short(path):
    text = path.read_text()
    assert text.count("\n") <= LONGEST_FILE
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, kinds)]
    longer = [f.name for f in functions if body_lines(f) > LONGEST_FUNCTION]
    assert not longer or str(path.relative_to(ROOT)) in LONGER, longer


def test_the_programs_are_thin():
    for path in (ROOT / "bin").glob("*.py"):
        assert len(path.read_text().splitlines()) <= 60, path
