"""Imports obey the table of layers in docs/design.md."""

import ast
import re
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "tfvrnn"

TABLE = re.findall(
    r"^\| (\d) \| (`.*?) \| .* \|(.*)\|$", (PACKAGE.parent / "docs/design.md").read_text(), re.M
)
UNITS = [
    (unit, int(row), {*filter(None, libraries.replace(",", " ").split())})
    for row, units, libraries in TABLE
    for unit in re.findall(r"`(\w+)(?:/|\.py)`", units)
]
# Rows import downward only. Modules of one row do not import each other.
ROW_OF = {unit: row for unit, row, _ in UNITS}
LIBRARIES_OF = {unit: libraries for unit, _, libraries in UNITS}
STANDARD_LIBRARY = {*sys.stdlib_module_names, "_typeshed"}  # _typeshed is for type checkers only
STANDARD_LIBRARY_ONLY = {"config", "commands", "dataset_paths"}
PURE_KERAS = {"tensor_ops", "distributions", "layers", "models"}
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, ()) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            yield node.module, tuple(alias.name for alias in node.names)


def unit_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_units(path):
    for module, names in imports(path):
        parts = module.split(".")
        if parts[0] == "tfvrnn":
            yield from [parts[1]] if len(parts) > 1 else names


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_strictly_downward(path):
    own = unit_of(path)
    for unit in set(imported_units(path)) - {own}:
        assert ROW_OF[unit] < ROW_OF[own], f"{path} imports {unit}"


def test_the_table_has_a_row_for_every_module():
    assert ROW_OF.keys() == set(map(unit_of, FILES))


@pytest.mark.parametrize("unit", sorted(LIBRARIES_OF))
def test_the_table_lists_the_libraries(unit):
    roots = {
        module.split(".")[0]
        for path in FILES
        if unit_of(path) == unit
        for module, _ in imports(path)
    }
    assert roots - STANDARD_LIBRARY - {"tfvrnn", "numpy"} == LIBRARIES_OF[unit]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_core_imports_keras_and_nothing_of_tensorflow(path):
    roots = {module.split(".")[0] for module, _ in imports(path)}
    if unit_of(path) in PURE_KERAS:
        assert roots <= {"keras", "tfvrnn", *STANDARD_LIBRARY}, path
    if unit_of(path) in STANDARD_LIBRARY_ONLY:
        assert roots <= {"tfvrnn", *STANDARD_LIBRARY}, path


def test_no_package_imports_itself_in_a_circle():
    graph = {}
    for path in FILES:
        name = ".".join(("tfvrnn", *path.relative_to(PACKAGE).with_suffix("").parts))
        graph[name] = {module for module, _ in imports(path) if module.startswith("tfvrnn.")}

    def visit(name, above):
        assert name not in above, " -> ".join([*above, name])
        for module in graph.get(name, ()):
            visit(module, [*above, name])

    for name in graph:
        visit(name, [])


def test_the_package_itself_imports_nothing_of_ours():
    assert {name for name, _ in imports(PACKAGE / "__init__.py")} == {"importlib", "typing"}
