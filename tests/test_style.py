"""The limits of size that keep the house readable."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(
    p for d in ("tfvrnn", "bin", "benchmarks", "tests") for p in (ROOT / d).rglob("*.py")
)
LONGEST_FILE, LONGEST_FUNCTION = 400, 50


def body_lines(function):
    first = function.body[0]
    documented = ast.get_docstring(function) is not None
    docstring = first.end_lineno - first.lineno + 1 if documented else 0
    return function.end_lineno - function.lineno + 1 - docstring


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_stay_short(path):
    text = path.read_text()
    assert text.count("\n") <= LONGEST_FILE
    functions = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef)]
    assert all(body_lines(f) <= LONGEST_FUNCTION for f in functions)


def test_the_programs_are_thin():
    for path in (ROOT / "bin").glob("*.py"):
        assert len(path.read_text().splitlines()) <= 60, path
